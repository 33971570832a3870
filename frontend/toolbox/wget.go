package toolbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// exit codes of GNU Wget (its manual, section "Exit Status")
const (
	wgetGeneric  = 1
	wgetUsage    = 2
	wgetFile     = 3
	wgetNetwork  = 4
	wgetTLS      = 5
	wgetAuth     = 6
	wgetProtocol = 7
	wgetServer   = 8
)

var wgetOptions = []option{
	{long: "output-document", short: 'O', argument: true},
	{long: "directory-prefix", short: 'P', argument: true},
	{long: "quiet", short: 'q'},
	{long: "no-verbose"},
	{long: "verbose", short: 'v'},
	{long: "continue", short: 'c'},
	{long: "no-clobber"},
	{long: "timeout", short: 'T', argument: true},
	{long: "connect-timeout", argument: true},
	{long: "tries", short: 't', argument: true},
	{long: "header", argument: true},
	{long: "user-agent", short: 'U', argument: true},
	{long: "user", argument: true},
	{long: "password", argument: true},
	{long: "http-user", argument: true},
	{long: "http-password", argument: true},
	{long: "post-data", argument: true},
	{long: "post-file", argument: true},
	{long: "spider"},
	{long: "inet4-only", short: '4'},
	{long: "inet6-only", short: '6'},
	{long: "no-check-certificate"},
	// taken, and of no meaning here
	{long: "waitretry", argument: true},
	{long: "retry-connrefused"},
	{long: "progress", argument: true},
	{long: "show-progress"},
	{long: "no-hsts"},
}

var wgetShorthands = map[string]string{"-nv": "no-verbose", "-nc": "no-clobber"}

type wget struct {
	*line
	streams
	client *http.Client
	tries  int
}

// Wget runs wget and returns its exit code.
func Wget(ctx context.Context, args []string) int { return runWget(ctx, args, std()) }

func runWget(ctx context.Context, args []string, io streams) int {
	w := &wget{streams: io}
	if err := w.parse(args); err != nil {
		fmt.Fprintln(io.err, "wget:", err)
		return wgetUsage
	}
	code := 0
	for _, address := range w.operands {
		err := retry(ctx, w.tries, final, func() error { return w.fetch(ctx, address) })
		if err != nil {
			fmt.Fprintf(io.err, "wget: %s: %v\n", redact(address), err)
			code = wgetCode(err)
		}
	}
	return code
}

func (w *wget) parse(args []string) (err error) {
	if w.line, err = parseLine(wgetOptions, wgetShorthands, args); err != nil {
		return err
	}
	if w.has("no-check-certificate") {
		return errTLS
	}
	if len(w.operands) == 0 {
		return errors.New("a URL is missing")
	}
	r := reach{follow: true, network: w.network("inet4-only", "inet6-only")}
	timeout, err := w.seconds("timeout")
	if err != nil {
		return err
	}
	if r.connect, err = w.seconds("connect-timeout"); err != nil {
		return err
	}
	if r.connect == 0 {
		r.connect = timeout
	}
	if w.tries, err = w.count("tries", "5"); err != nil {
		return err
	}
	if w.client, err = newClient(r); err != nil {
		return err
	}
	if timeout > 0 {
		w.client.Transport.(*http.Transport).ResponseHeaderTimeout = timeout
	}
	return nil
}

func (w *wget) fetch(ctx context.Context, address string) error {
	req, err := w.request(ctx, address)
	if err != nil {
		return err
	}
	target := w.target(req)
	if w.has("no-clobber") && exists(target) {
		return nil
	}
	var have int64
	if info, err := os.Stat(target); w.has("continue") && err == nil && info.Mode().IsRegular() {
		have = info.Size()
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	res, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if have > 0 && res.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return nil // it is complete
	}
	if res.StatusCode >= 300 {
		return &statusError{res.StatusCode, res.Status}
	}
	if w.has("spider") {
		return nil
	}
	return w.store(res, target, have)
}

func (w *wget) request(ctx context.Context, address string) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(nil)
	switch {
	case w.has("spider"):
		method = http.MethodHead
	case w.has("post-data"):
		method, body = http.MethodPost, strings.NewReader(w.last("post-data", ""))
	case w.has("post-file"):
		dt, err := os.ReadFile(w.last("post-file", ""))
		if err != nil {
			return nil, err
		}
		method, body = http.MethodPost, strings.NewReader(string(dt))
	}
	headers := []string{"User-Agent: " + w.last("user-agent", "Wget")}
	if method == http.MethodPost {
		headers = append(headers, "Content-Type: application/x-www-form-urlencoded")
	}
	req, err := newRequest(ctx, method, address, append(headers, w.all("header")...), body)
	if err != nil {
		return nil, err
	}
	if user := w.last("user", w.last("http-user", "")); user != "" {
		req.SetBasicAuth(user, w.last("password", w.last("http-password", "")))
	}
	return req, nil
}

// target is the file that the download becomes; "-" is standard output.
func (w *wget) target(req *http.Request) string {
	if name := w.last("output-document", ""); name != "" {
		return name
	}
	return filepath.Join(w.last("directory-prefix", "."), fileName(req.URL))
}

func (w *wget) store(res *http.Response, target string, have int64) error {
	if target == "-" {
		_, err := io.Copy(w.out, res.Body)
		return err
	}
	if prefix := w.last("directory-prefix", ""); prefix != "" {
		if err := os.MkdirAll(prefix, 0o755); err != nil {
			return err
		}
	}
	write := save
	if have > 0 && res.StatusCode == http.StatusPartialContent || len(w.operands) > 1 && w.has("output-document") {
		write = appendTo
	}
	n, err := write(target, res.Body)
	if err != nil {
		return err
	}
	if !w.has("quiet") {
		fmt.Fprintf(w.err, "%s -> %s (%d bytes)\n", redact(res.Request.URL.String()), target, n)
	}
	return nil
}

func wgetCode(err error) int {
	var status *statusError
	if errors.As(err, &status) {
		if status.code == http.StatusUnauthorized || status.code == http.StatusProxyAuthRequired {
			return wgetAuth
		}
		return wgetServer
	}
	switch causeOf(err) {
	case causeLookup, causeConnect, causeTimeout, causeBroken:
		return wgetNetwork
	case causeTLS, causeCertificate:
		return wgetTLS
	case causeRedirects:
		return wgetProtocol
	case causeFile:
		return wgetFile
	}
	return wgetGeneric
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
