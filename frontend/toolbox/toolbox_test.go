package toolbox

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseLine(t *testing.T) {
	options := []option{{long: "quiet", short: 'q'}, {long: "output", short: 'o', argument: true}, {long: "link", short: 'l'}}
	shorthands := map[string]string{"-nv": "quiet"}
	for name, tt := range map[string]struct {
		args     string
		values   map[string][]string
		operands []string
		err      string
	}{
		"separate":           {args: "-q -o f u", values: map[string][]string{"quiet": {""}, "output": {"f"}}, operands: []string{"u"}},
		"joined":             {args: "-qlo- u", values: map[string][]string{"quiet": {""}, "link": {""}, "output": {"-"}}, operands: []string{"u"}},
		"after the operand":  {args: "u -of --output=g", values: map[string][]string{"output": {"f", "g"}}, operands: []string{"u"}},
		"long with value":    {args: "--output f", values: map[string][]string{"output": {"f"}}},
		"two letters":        {args: "-nv", values: map[string][]string{"quiet": {""}}},
		"end of options":     {args: "-- -q", values: map[string][]string{}, operands: []string{"-q"}},
		"a dash":             {args: "-", values: map[string][]string{}, operands: []string{"-"}},
		"unknown letter":     {args: "-qz", err: "-z is not known"},
		"unknown name":       {args: "--zzz=1", err: "--zzz is not known"},
		"no value":           {args: "-o", err: "-o needs a value"},
		"no value for name":  {args: "--output", err: "--output needs a value"},
		"value for a switch": {args: "--quiet=1", err: "--quiet takes no value"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := parseLine(options, shorthands, strings.Fields(tt.args))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(l.values, tt.values) || !reflect.DeepEqual(l.operands, tt.operands) {
				t.Errorf("got %v %v, want %v %v", l.values, l.operands, tt.values, tt.operands)
			}
		})
	}
}

// site is a web server with what the tests ask for.
func site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/file.yaml", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", fileTime, strings.NewReader("0123456789"))
	})
	mux.Handle("/moved", http.RedirectHandler("/file.yaml", http.StatusFound))
	mux.Handle("/circle", http.RedirectHandler("/circle", http.StatusFound))
	mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "u" || password != "p" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.Method+" "+r.Header.Get("X-Test")+" "+r.UserAgent()+" "+string(body))
	})
	mux.HandleFunc("/half", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
	})
	return mux
}

// program runs one of the two in a directory of its own.
type program func(args ...string) (code int, out, errors string)

func programs(t *testing.T) (wget, curl program) {
	t.Chdir(t.TempDir())
	with := func(run func(streams, []string) int) program {
		return func(args ...string) (int, string, string) {
			var out, errors bytes.Buffer
			code := run(streams{strings.NewReader("from stdin"), &out, &errors}, args)
			return code, out.String(), errors.String()
		}
	}
	return with(func(s streams, args []string) int { return runWget(t.Context(), args, s) }),
		with(func(s streams, args []string) int { return runCurl(t.Context(), args, s) })
}

func content(t *testing.T, name string) string {
	t.Helper()
	dt, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(dt)
}

// download is a command line, and what becomes of it.
type download struct {
	args string // URL in it is the address of the server
	code int
	out  string
	file string // its content is that of /file.yaml
}

// testDownloads runs command lines of wget or curl against site.
func testDownloads(t *testing.T, name string, downloads map[string]download) {
	t.Helper()
	server := httptest.NewServer(site())
	defer server.Close()
	for title, tt := range downloads {
		t.Run(title, func(t *testing.T) {
			wget, curl := programs(t)
			run := map[string]program{"wget": wget, "curl": curl}[name]
			for file, text := range map[string]string{"started": "01234", "finished": "0123456789"} {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			code, out, errors := run(strings.Fields(strings.ReplaceAll(tt.args, "URL", server.URL))...)
			if code != tt.code || out != tt.out {
				t.Errorf("code %d, output %q, want %d, %q (%s)", code, out, tt.code, tt.out, errors)
			}
			if (code != 0) != strings.HasPrefix(errors, name+": ") {
				t.Errorf("code %d says %q", code, errors)
			}
			if tt.file != "" && content(t, tt.file) != "0123456789" {
				t.Errorf("the file is %q", content(t, tt.file))
			}
		})
	}
}

func TestWget(t *testing.T) {
	testDownloads(t, "wget", map[string]download{
		"own name":        {args: "URL/file.yaml", file: "file.yaml"},
		"given name":      {args: "-q -O x URL/moved", file: "x"},
		"directory":       {args: "-P a/b URL/file.yaml", file: "a/b/file.yaml"},
		"standard output": {args: "-qO- URL/file.yaml", out: "0123456789"},
		"header":          {args: "-qO- --header X-Test:1 -U me URL/echo", out: "GET 1 me "},
		"post":            {args: "-qO- --post-data a=b URL/echo", out: "POST  Wget a=b"},
		"user":            {args: "-q --user u --password p -O /dev/null URL/who"},
		"continued":       {args: "-c -O started URL/file.yaml", file: "started"},
		"finished":        {args: "-c -O finished URL/file.yaml", file: "finished"},
		"not there":       {args: "URL/none", code: wgetServer},
		"not allowed":     {args: "URL/who", code: wgetAuth},
		"circle":          {args: "URL/circle", code: wgetProtocol},
		"broken":          {args: "-t1 URL/half", code: wgetNetwork},
		"no such host":    {args: "-t1 http://host.invalid/", code: wgetNetwork},
		"nobody listens":  {args: "-t1 http://127.0.0.1:1/", code: wgetNetwork},
		"no such path":    {args: "-O no/such/dir URL/file.yaml", code: wgetFile},
		"unknown option":  {args: "-Z URL/file.yaml", code: wgetUsage},
		"no URL":          {args: "-q", code: wgetUsage},
		"trust anyone":    {args: "--no-check-certificate URL/file.yaml", code: wgetUsage},
		"other scheme":    {args: "ftp://example.com/x", code: wgetGeneric},
	})
}

func TestCurl(t *testing.T) {
	testDownloads(t, "curl", map[string]download{
		"standard output":    {args: "URL/file.yaml", out: "0123456789"},
		"as people write it": {args: "--proto =https --tlsv1.2 -fsSL URL/moved", out: "0123456789"},
		"not followed":       {args: "-s URL/moved", out: "<a href=\"/file.yaml\">Found</a>.\n\n"},
		"given name":         {args: "-Lo x URL/moved", file: "x"},
		"own name":           {args: "-LO URL/file.yaml?x=y", file: "file.yaml"},
		"directories":        {args: "--create-dirs -o a/b/c URL/file.yaml", file: "a/b/c"},
		"output directory":   {args: "--output-dir a --create-dirs -O URL/file.yaml", file: "a/file.yaml"},
		"two":                {args: "-o x -o y URL/echo URL/file.yaml", file: "y"},
		"header":             {args: "-H X-Test:1 -A me URL/echo", out: "GET 1 me "},
		"data":               {args: "-d a=b -d @- URL/echo", out: "POST  curl a=b&from stdin"},
		"method":             {args: "-X PUT --data-raw @x URL/echo", out: "PUT  curl @x"},
		"user":               {args: "-fu u:p URL/who"},
		"status":             {args: "-s -o /dev/null -w %{http_code} URL/none", out: "404"},
		"errors are content": {args: "-s URL/none", out: "404 page not found\n"},
		"fail":               {args: "-f URL/none", code: curlStatus},
		"fail with body":     {args: "--fail-with-body URL/none", code: curlStatus, out: "404 page not found\n"},
		"circle":             {args: "-L URL/circle", code: curlRedirects},
		"broken":             {args: "-o x URL/half", code: curlPartial},
		"no such host":       {args: "http://host.invalid/", code: curlLookup},
		"nobody listens":     {args: "http://127.0.0.1:1/", code: curlConnect},
		"no such path":       {args: "-o no/such/dir URL/file.yaml", code: curlWrite},
		"unknown option":     {args: "-Z URL/file.yaml", code: curlUsage},
		"trust anyone":       {args: "-k URL/file.yaml", code: curlUsage},
		"bad number":         {args: "--retry x URL/file.yaml", code: curlUsage},
		"other scheme":       {args: "ftp://example.com/x", code: curlURL},
	})
}

func TestSilence(t *testing.T) {
	_, curl := programs(t)
	if _, _, errors := curl("-s", "http://127.0.0.1:1/"); errors != "" {
		t.Errorf("-s says %q", errors)
	}
	if _, _, errors := curl("-sS", "http://user:hidden@127.0.0.1:1/"); errors == "" || strings.Contains(errors, "hidden") {
		t.Errorf("-sS says %q", errors)
	}
}

func TestABrokenDownloadLeavesNothing(t *testing.T) {
	server := httptest.NewServer(site())
	defer server.Close()
	wget, _ := programs(t)
	if code, _, _ := wget("-t1", "-O", "x", server.URL+"/half"); code == 0 {
		t.Error("half a file is a success")
	}
	if left, err := filepath.Glob("*"); err != nil || len(left) != 0 {
		t.Errorf("left over: %q (%v)", left, err)
	}
	if left, err := filepath.Glob(".*x*"); err != nil || len(left) != 0 {
		t.Errorf("left over: %q (%v)", left, err)
	}
}

func TestTLSIsVerified(t *testing.T) {
	server := httptest.NewTLSServer(site())
	defer server.Close()
	wget, curl := programs(t)
	if code, _, errors := wget("-qO-", server.URL+"/file.yaml"); code != wgetTLS {
		t.Errorf("wget: code %d (%s)", code, errors)
	}
	if code, _, errors := curl("-s", server.URL+"/file.yaml"); code != curlCertificate {
		t.Errorf("curl: code %d (%s)", code, errors)
	}
	plain := httptest.NewServer(site())
	defer plain.Close()
	if code, _, errors := curl("-s", strings.Replace(plain.URL, "http:", "https:", 1)); code != curlTLS {
		t.Errorf("curl: code %d for a server without TLS (%s)", code, errors)
	}
}

// TestOwnCA: crypto/x509 reads SSL_CERT_FILE once, so this needs a process of its own.
func TestOwnCA(t *testing.T) {
	if url := os.Getenv("TOOLBOX_TEST_URL"); url != "" {
		_, curl := programs(t)
		if code, out, errors := curl("-s", url); code != 0 || out != "0123456789" {
			t.Errorf("code %d, output %q (%s)", code, out, errors)
		}
		return
	}
	server := httptest.NewTLSServer(site())
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o644); err != nil {
		t.Fatal(err)
	}
	again(t, "TestOwnCA", "SSL_CERT_FILE="+ca, "TOOLBOX_TEST_URL="+server.URL+"/file.yaml")
}

// FuzzParseLine: any command line is read or refused, and an option never gets more values than there are words.
func FuzzParseLine(f *testing.F) {
	f.Add("-fsSL -o- --retry=3 -- url")
	f.Add("-qO- -nv --header a:b u")
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, " ")
		for _, options := range [][]option{wgetOptions, curlOptions} {
			l, err := parseLine(options, wgetShorthands, args)
			if err != nil {
				continue
			}
			if len(l.operands) > len(args) {
				t.Errorf("%d operands of %d words", len(l.operands), len(args))
			}
			for name := range l.values {
				if !slices.ContainsFunc(options, func(o option) bool { return o.long == name }) && name != "no-verbose" && name != "no-clobber" {
					t.Errorf("the option %q does not exist", name)
				}
			}
		}
	})
}
