package balancer

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
)

// checker asks one API server whether it is ready. It keeps its connection: with a handshake for each check, those of all nodes are much of
// what a master does.
type checker struct {
	address string
	client  *http.Client
}

// checkResult is what a check found.
type checkResult struct {
	health health
	failed int // questions that were not answered well
	err    error
}

func newChecker(address string, patience timing) checker {
	return checker{address: address, client: &http.Client{
		Timeout: patience.check,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: patience.check}).DialContext,
			TLSHandshakeTimeout: patience.check,
			// Nothing secret is sent, and what comes back decides only which backend is asked first: the TLS of those who
			// connect goes end to end, and they do verify.
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
			MaxIdleConnsPerHost: 1,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c checker) close() { c.client.CloseIdleConnections() }

// check asks on the connection that is there. If that one does not answer, a new one decides: a connection may end for many reasons, and only
// who accepts none is unreachable.
func (c checker) check(ctx context.Context) checkResult {
	answered, kept, err := c.ask(ctx)
	if answered || !kept || ctx.Err() != nil {
		return c.judge(answered, err, 1)
	}
	c.client.CloseIdleConnections()
	answered, _, err = c.ask(ctx)
	return c.judge(answered, err, 2)
}

func (c checker) judge(connected bool, err error, failed int) checkResult {
	switch {
	case err == nil:
		return checkResult{}
	case connected:
		return checkResult{unready, failed, err}
	}
	return checkResult{unreachable, failed, err}
}

// ask puts the question once. Every cluster answers it to everybody (ClusterRole system:public-info-viewer), and who says that it is forbidden is
// alive, too. connected says that a connection is known to work: a new one has spoken TLS, or one that was kept has answered.
func (c checker) ask(ctx context.Context) (connected, kept bool, err error) {
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { connected, kept = !info.Reused, info.Reused }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, "https://"+c.address+"/readyz", nil)
	if err != nil {
		return false, false, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return connected, kept, err
	}
	defer response.Body.Close()
	io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	switch response.StatusCode {
	case http.StatusOK, http.StatusUnauthorized, http.StatusForbidden:
		return true, kept, nil
	}
	return true, kept, fmt.Errorf("it answers %s", response.Status)
}
