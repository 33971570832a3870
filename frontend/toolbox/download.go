// Package toolbox has the programs that busybox has not, or not well enough for a build: wget and curl with the options that people
// write in build files. TLS is always verified.
package toolbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kubefile/kubefile/frontend/transport"
)

// errTLS is why neither program has its option to trust anyone.
var errTLS = errors.New("the toolbox always verifies TLS; to trust a CA of your own, COPY its certificate to /etc/ssl/certs or set SSL_CERT_FILE")

// errURL is returned for an operand that is not a URL, or has another scheme.
var errURL = errors.New("only http and https URLs can be fetched")

// maxRedirects is wget's default; curl's is 50.
const maxRedirects = 20

// errRedirects is returned for a server that redirects too often.
var errRedirects = fmt.Errorf("more than %d redirects", maxRedirects)

// streams are the input and outputs of a program.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func std() streams { return streams{os.Stdin, os.Stdout, os.Stderr} }

// reach has the connection settings of a program.
type reach struct {
	follow  bool          // redirects
	network string        // "tcp", "tcp4", "tcp6"
	connect time.Duration // the most a connection may take to come up; 0: the transport's default
	total   time.Duration // limit for everything; 0 means none, but a stalled transfer always ends
}

func newClient(r reach) (*http.Client, error) {
	rt, err := transport.New()
	if err != nil {
		return nil, err
	}
	rt.DisableCompression = true // a file is stored as the server has it
	dial := rt.DialContext
	rt.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) {
		if r.connect > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, r.connect)
			defer cancel()
		}
		return dial(ctx, r.network, address)
	}
	return &http.Client{
		Transport: rt,
		Timeout:   r.total,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			switch {
			case !r.follow:
				return http.ErrUseLastResponse
			case len(via) > maxRedirects:
				return errRedirects
			}
			return nil
		},
	}, nil
}

// network is what the options -4 and -6 of both programs ask for.
func (l *line) network(four, six string) string {
	switch {
	case l.has(four):
		return "tcp4"
	case l.has(six):
		return "tcp6"
	}
	return "tcp"
}

// seconds reads an option with a number of seconds; 0 if it is not given.
func (l *line) seconds(name string) (time.Duration, error) {
	value := l.last(name, "0")
	d, err := time.ParseDuration(value + "s")
	if err != nil || d < 0 {
		return 0, fmt.Errorf("--%s: %q is not a number of seconds", name, value)
	}
	return d, nil
}

// count reads an option with a number.
func (l *line) count(name, otherwise string) (int, error) {
	value := l.last(name, otherwise)
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("--%s: %q is not a number", name, value)
	}
	return n, nil
}

// newRequest reads the URL as the programs do: without a scheme it is http. Of two headers with one name the last one holds; one without a
// value is taken away.
func newRequest(ctx context.Context, method, address string, headers []string, body io.Reader) (*http.Request, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errURL, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errURL
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, fmt.Errorf("the header %q is not of the form \"Name: value\"", name)
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Host"):
			req.Host = value
		case value == "":
			req.Header.Del(name)
		default:
			req.Header.Set(name, value)
		}
	}
	return req, nil
}

// fileName returns the default name of a download: the last element of the URL.
func fileName(u *url.URL) string {
	name := path.Base(u.Path)
	if name == "." || name == "/" {
		return "index.html"
	}
	if u.RawQuery != "" {
		name += "?" + u.RawQuery
	}
	return strings.ReplaceAll(name, "/", "_")
}

// save writes a body to a temporary file first, so an incomplete download leaves nothing that looks finished. It returns the number of
// bytes.
func save(name string, body io.Reader) (n int64, err error) {
	if info, statErr := os.Stat(name); statErr == nil && !info.Mode().IsRegular() { // /dev/null, /dev/stdout
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return 0, err
		}
		n, err = io.Copy(f, body)
		return n, errors.Join(err, f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	n, err = io.Copy(f, body)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return n, err
	}
	return n, os.Rename(f.Name(), name)
}

// appendTo continues a file that a transfer broke off.
func appendTo(name string, body io.Reader) (int64, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, body)
	return n, errors.Join(err, f.Close())
}

// cause classifies why a transfer failed, because the programs have an exit code for each reason.
type cause int

const (
	causeOther cause = iota
	causeURL
	causeLookup
	causeConnect
	causeTimeout
	causeTLS
	causeCertificate
	causeRedirects
	causeFile
	causeBroken // the connection ended in the middle
)

func causeOf(err error) cause {
	var (
		dns         *net.DNSError
		op          *net.OpError
		unknown     x509.UnknownAuthorityError
		host        x509.HostnameError
		invalid     x509.CertificateInvalidError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		file        *os.PathError
		timeout     interface{ Timeout() bool }
	)
	switch {
	case errors.Is(err, errURL):
		return causeURL
	case errors.Is(err, errRedirects):
		return causeRedirects
	case errors.As(err, &dns):
		return causeLookup
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &certificate):
		return causeCertificate
	case errors.As(err, &record), errors.As(err, &alert), errors.Is(err, http.ErrSchemeMismatch):
		return causeTLS
	case errors.As(err, &timeout) && timeout.Timeout():
		return causeTimeout
	case errors.As(err, &op) && op.Op == "dial", errors.Is(err, syscall.ECONNREFUSED):
		return causeConnect
	case errors.As(err, &file):
		return causeFile
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return causeBroken
	}
	return causeOther
}

// retry calls fn until it succeeds, its error is final, or the tries are used up; between them it waits longer each time.
func retry(ctx context.Context, tries int, final func(error) bool, fn func() error) error {
	for attempt := 1; ; attempt++ {
		err := fn()
		if err == nil || attempt >= tries || final(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(min(attempt, 10)) * time.Second):
		}
	}
}

// statusError is an HTTP response with an error status.
type statusError struct {
	code   int
	status string
}

func (e *statusError) Error() string { return "the server answered " + e.status }

// final reports whether trying again is of no use: what the server said on purpose, names that do not exist, certificates, files.
func final(err error) bool {
	var status *statusError
	if errors.As(err, &status) {
		return status.code < 500 && status.code != http.StatusRequestTimeout && status.code != http.StatusTooManyRequests
	}
	switch causeOf(err) {
	case causeURL, causeLookup, causeCertificate, causeTLS, causeRedirects, causeFile:
		return true
	}
	return false
}
