package toolbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// exit codes of curl (its manual, section "EXIT CODES")
const (
	curlUsage       = 2
	curlURL         = 3
	curlLookup      = 6
	curlConnect     = 7
	curlPartial     = 18
	curlStatus      = 22
	curlWrite       = 23
	curlTimeout     = 28
	curlTLS         = 35
	curlRedirects   = 47
	curlReceive     = 56
	curlCertificate = 60
)

var curlOptions = []option{
	{long: "location", short: 'L'},
	{long: "output", short: 'o', argument: true},
	{long: "remote-name", short: 'O'},
	{long: "output-dir", argument: true},
	{long: "create-dirs"},
	{long: "fail", short: 'f'},
	{long: "fail-with-body"},
	{long: "silent", short: 's'},
	{long: "show-error", short: 'S'},
	{long: "header", short: 'H', argument: true},
	{long: "request", short: 'X', argument: true},
	{long: "head", short: 'I'},
	{long: "data", short: 'd', argument: true},
	{long: "data-raw", argument: true},
	{long: "data-binary", argument: true},
	{long: "user", short: 'u', argument: true},
	{long: "user-agent", short: 'A', argument: true},
	{long: "continue-at", short: 'C', argument: true},
	{long: "retry", argument: true},
	{long: "connect-timeout", argument: true},
	{long: "max-time", short: 'm', argument: true},
	{long: "write-out", short: 'w', argument: true},
	{long: "ipv4", short: '4'},
	{long: "ipv6", short: '6'},
	{long: "insecure", short: 'k'},
	// taken, and of no meaning here: TLS is 1.2 or newer anyway
	{long: "no-progress-meter"},
	{long: "progress-bar", short: '#'},
	{long: "retry-delay", argument: true},
	{long: "retry-all-errors"},
	{long: "retry-connrefused"},
	{long: "proto", argument: true},
	{long: "tlsv1.2"},
	{long: "tlsv1.3"},
	{long: "http1.1"},
	{long: "no-buffer", short: 'N'},
}

type curl struct {
	*line
	streams
	client *http.Client
	tries  int
}

// Curl runs curl and returns its exit code.
func Curl(ctx context.Context, args []string) int { return runCurl(ctx, args, std()) }

func runCurl(ctx context.Context, args []string, io streams) int {
	c := &curl{streams: io}
	if err := c.parse(args); err != nil {
		fmt.Fprintln(io.err, "curl:", err)
		return curlUsage
	}
	code := 0
	for i, address := range c.operands {
		err := retry(ctx, c.tries, final, func() error { return c.fetch(ctx, i, address) })
		if err != nil {
			if !c.has("silent") || c.has("show-error") {
				fmt.Fprintf(io.err, "curl: %s: %v\n", redact(address), err)
			}
			code = curlCode(err)
		}
	}
	return code
}

func (c *curl) parse(args []string) (err error) {
	if c.line, err = parseLine(curlOptions, nil, args); err != nil {
		return err
	}
	if c.has("insecure") {
		return errTLS
	}
	if len(c.operands) == 0 {
		return errors.New("a URL is missing")
	}
	r := reach{follow: c.has("location"), network: c.network("ipv4", "ipv6")}
	retries, err := c.count("retry", "0")
	if err != nil {
		return err
	}
	c.tries = retries + 1
	if r.connect, err = c.seconds("connect-timeout"); err != nil {
		return err
	}
	if r.total, err = c.seconds("max-time"); err != nil {
		return err
	}
	c.client, err = newClient(r)
	return err
}

func (c *curl) fetch(ctx context.Context, number int, address string) error {
	req, err := c.request(ctx, address)
	if err != nil {
		return err
	}
	target := c.target(number, req.URL)
	if c.has("continue-at") && target != "-" {
		if info, err := os.Stat(target); err == nil {
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", info.Size()))
		}
	}
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	failed := res.StatusCode >= 400
	if failed && c.has("fail") && !c.has("fail-with-body") {
		return &statusError{res.StatusCode, res.Status}
	}
	if err := c.store(res, target); err != nil {
		return err
	}
	c.writeOut(res)
	if failed && c.has("fail-with-body") {
		return &statusError{res.StatusCode, res.Status}
	}
	return nil
}

func (c *curl) request(ctx context.Context, address string) (*http.Request, error) {
	method := http.MethodGet
	body, err := c.body()
	if err != nil {
		return nil, err
	}
	switch {
	case c.has("head"):
		method = http.MethodHead
	case body != nil:
		method = http.MethodPost
	}
	headers := []string{"User-Agent: " + c.last("user-agent", "curl"), "Accept: */*"}
	if body != nil {
		headers = append(headers, "Content-Type: application/x-www-form-urlencoded")
	}
	req, err := newRequest(ctx, c.last("request", method), address, append(headers, c.all("header")...), body)
	if err != nil {
		return nil, err
	}
	if user, password, _ := strings.Cut(c.last("user", ""), ":"); user != "" {
		req.SetBasicAuth(user, password)
	}
	return req, nil
}

// body joins what -d and its kin gave, "@file" and "@-" read.
func (c *curl) body() (io.Reader, error) {
	var parts []string
	for _, name := range []string{"data", "data-raw", "data-binary"} {
		for _, value := range c.all(name) {
			file, isFile := strings.CutPrefix(value, "@")
			if !isFile || name == "data-raw" {
				parts = append(parts, value)
				continue
			}
			dt, err := c.read(file)
			if err != nil {
				return nil, err
			}
			if name == "data" {
				dt = strings.NewReplacer("\n", "", "\r", "").Replace(dt)
			}
			parts = append(parts, dt)
		}
	}
	if parts == nil {
		return nil, nil
	}
	return strings.NewReader(strings.Join(parts, "&")), nil
}

func (c *curl) read(file string) (string, error) {
	if file == "-" {
		dt, err := io.ReadAll(c.in)
		return string(dt), err
	}
	dt, err := os.ReadFile(file)
	return string(dt), err
}

// target is where a download goes: the outputs in their order, or its own name, or standard output ("-").
func (c *curl) target(number int, u *url.URL) string {
	name := "-"
	if outputs := c.all("output"); number < len(outputs) {
		name = outputs[number]
	} else if c.has("remote-name") {
		name, _, _ = strings.Cut(fileName(u), "?")
	}
	if dir := c.last("output-dir", ""); dir != "" && name != "-" {
		return filepath.Join(dir, name)
	}
	return name
}

func (c *curl) store(res *http.Response, target string) error {
	if c.has("head") {
		var head strings.Builder
		fmt.Fprintf(&head, "%s %s\r\n", res.Proto, res.Status)
		res.Header.Write(&head) // into memory: it cannot fail
		_, err := fmt.Fprintf(c.out, "%s\r\n", &head)
		return err
	}
	if target == "-" {
		_, err := io.Copy(c.out, res.Body)
		return err
	}
	if c.has("create-dirs") {
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
	}
	write := save
	if c.has("continue-at") && res.StatusCode == http.StatusPartialContent {
		write = appendTo
	}
	_, err := write(target, res.Body)
	return err
}

// writeOut prints what -w asks for; the variables that scripts ask for are known.
func (c *curl) writeOut(res *http.Response) {
	format := c.last("write-out", "")
	if format == "" {
		return
	}
	fmt.Fprint(c.out, strings.NewReplacer(
		"%{http_code}", strconv.Itoa(res.StatusCode), "%{response_code}", strconv.Itoa(res.StatusCode),
		"%{url_effective}", res.Request.URL.String(), "%{content_type}", res.Header.Get("Content-Type"),
		"%{redirect_url}", res.Header.Get("Location"), `\n`, "\n", `\t`, "\t", "%%", "%",
	).Replace(format))
}

func curlCode(err error) int {
	var status *statusError
	if errors.As(err, &status) {
		return curlStatus
	}
	switch causeOf(err) {
	case causeURL:
		return curlURL
	case causeLookup:
		return curlLookup
	case causeConnect:
		return curlConnect
	case causeTimeout:
		return curlTimeout
	case causeTLS:
		return curlTLS
	case causeCertificate:
		return curlCertificate
	case causeRedirects:
		return curlRedirects
	case causeFile:
		return curlWrite
	case causeBroken:
		return curlPartial
	}
	return curlReceive
}

// redact removes a password from a URL that is logged.
func redact(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Redacted()
	}
	return "URL"
}
