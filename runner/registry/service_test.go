package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/agent/client"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
	"github.com/kubefile/kubefile/runner/unit"
)

// withRegistry is the service on the masters and one node, whose hosts have disks.
func withRegistry(t *testing.T, masters ...string) (*Service, []*disk) {
	t.Helper()
	p := &Service{
		Session:  &execute.Session{Name: "default", DataRoot: t.TempDir(), Report: report.New(io.Discard)},
		Store:    &store.Store{State: state.New("default")},
		Artifact: &source.Artifact{Description: &imagespec.Description{Lock: &imagespec.Lock{Images: []imagespec.LockedImage{{Reference: "quay.io/a/b:1", Digest: digest.FromString("x")}}}}},
	}
	var disks []*disk
	for i, address := range append(masters, "127.0.0.99") {
		h := host.Host{Address: netip.MustParseAddr(address), Role: host.RoleMaster}
		if i == len(masters) {
			h.Role = host.RoleNode
		}
		d := &disk{files: map[string][]byte{}, modes: map[string]fs.FileMode{}, real: "/nowhere"}
		if i == 0 {
			d.real = p.DataRoot
		}
		client := client.Client{Conn: &on{disk: d, t: t, host: h}, Dir: p.Dir()}
		p.Members = append(p.Members, &execute.Member{Client: client, Image: client, Host: h, Name: fmt.Sprintf("h%d", i), Facts: &host.Facts{}, Index: i})
		disks = append(disks, d)
	}
	return p, disks
}

// apply runs the stage and returns what it wrote on each host, and which were restarted.
func apply(t *testing.T, p *Service, disks []*disk) (written [][]string, restarted []bool) {
	t.Helper()
	before := make([]int, len(disks))
	for i, d := range disks {
		d.written, before[i] = nil, d.restarts
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, d := range disks {
		written, restarted = append(written, d.written), append(restarted, d.restarts > before[i])
	}
	return written, restarted
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// ownCertificate is one for the addresses, by an authority of the site.
func ownCertificate(t *testing.T, addresses ...string) (pair registryproxy.Pair, authority []byte) {
	t.Helper()
	site, err := registryproxy.NewAuthority("site")
	if err != nil {
		t.Fatal(err)
	}
	own, err := site.Pair()
	if err != nil {
		t.Fatal(err)
	}
	var ips []net.IP
	for _, address := range addresses {
		ips = append(ips, net.ParseIP(address))
	}
	if pair, err = site.Issue(ips, []string{"registry.site"}); err != nil {
		t.Fatal(err)
	}
	return pair, own.Certificate
}

func TestRegistryWithSettings(t *testing.T) {
	const master = "127.0.0.2"
	own, authority := ownCertificate(t, master, "127.0.0.3")
	for name, test := range map[string]struct {
		settings Settings
		trusted  string
	}{
		"defaults":        {Settings{}, "pki/authority.crt"},
		"password":        {Settings{Domain: "hub.site", Username: "admin", Password: "pässword"}, "pki/authority.crt"},
		"own certificate": {Settings{Certificate: own.Certificate, Key: own.Key, Authority: authority}, "pki/registry-authority.crt"},
		"no TLS":          {Settings{NoTLS: true, Username: "admin", Password: "pässword"}, ""},
		"more names":      {Settings{DNSNames: []string{"hub.site"}, IPs: []netip.Addr{netip.MustParseAddr("10.9.9.9")}}, "pki/authority.crt"},
	} {
		t.Run(name, func(t *testing.T) {
			p, disks := withRegistry(t, master, "127.0.0.3")
			p.Settings = test.settings
			p.Settings.Port = freePort(t)
			if err := p.Settings.Check([]netip.Addr{netip.MustParseAddr(master), netip.MustParseAddr("127.0.0.3")}); err != nil {
				t.Fatal(err)
			}
			if _, restarted := apply(t, p, disks); slices.Contains(restarted, false) {
				t.Errorf("started on %v", restarted)
			}
			if written, restarted := apply(t, p, disks); len(slices.Concat(written...)) > 0 || slices.Contains(restarted, true) {
				t.Errorf("the second time wrote %q, and restarted on %v", written, restarted)
			}
			secrets(t, p, disks)
			serves(t, p, p.First().Path(test.trusted))
		})
	}
}

// secrets checks that the password is in no command and in no file that others than root may read.
func secrets(t *testing.T, p *Service, disks []*disk) {
	t.Helper()
	password := p.Settings.Password.Reveal()
	if password == "" {
		return
	}
	basic := base64.StdEncoding.EncodeToString([]byte(p.Settings.Username + ":" + password))
	found := 0
	for _, d := range disks {
		for name, content := range d.files {
			if !bytes.Contains(content, []byte(password)) && !bytes.Contains(content, []byte(basic)) && !bytes.Contains(content, []byte("$2a$")) {
				continue
			}
			found++
			if d.modes[name] != 0o600 {
				t.Errorf("%s tells the password and has mode %v", name, d.modes[name])
			}
		}
	}
	if found == 0 {
		t.Error("the password is nowhere")
	}
	for _, m := range p.Members {
		for _, line := range m.Conn.(*on).asked {
			sum := fmt.Sprintf("%x", sha256.Sum256(p.Settings.credentials().Line()))
			if strings.Contains(line, password) || strings.Contains(line, basic) || strings.Contains(line, sum) {
				t.Errorf("a command tells the password: %s", line)
			}
		}
	}
}

// serves runs the first master's proxy as its files say, and asks it as the others would.
func serves(t *testing.T, p *Service, trusted string) {
	t.Helper()
	m := p.First()
	config, err := os.ReadFile(m.Path("registry.json"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := registryproxy.ParseConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(m.Path("registry"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	server, err := registryproxy.Listen(ctx, parsed, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	transport, scheme := &http.Transport{DisableKeepAlives: true}, "http"
	if !p.Settings.NoTLS {
		authority, err := os.ReadFile(trusted)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(authority)
		transport.TLSClientConfig, scheme = &tls.Config{RootCAs: pool}, "https"
	}
	for _, login := range []bool{false, true} {
		request, err := http.NewRequest(http.MethodGet, scheme+"://"+p.Settings.at(m.Host.Address)+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		want := http.StatusOK
		if login {
			request.SetBasicAuth(p.Settings.Username, p.Settings.Password.Reveal())
		} else if p.Settings.Username != "" {
			want = http.StatusUnauthorized
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("with credentials %v: %s", login, response.Status)
		}
	}
}

func TestSettingsOfTheRegistryThatChange(t *testing.T) {
	p, disks := withRegistry(t, "10.0.0.1", "10.0.0.2")
	apply(t, p, disks)
	own, authority := ownCertificate(t, "10.0.0.1", "10.0.0.2")
	hosts := []string{"_default/hosts.toml", "quay.io/hosts.toml", "sea.hub:5000/hosts.toml"}
	configured := append([]string{"default/registry.json"}, hosts...)
	issued := []string{"pki/registry.key", "pki/registry.crt"}
	logins := []string{"pki/registry.credentials", "pki/registry.htpasswd"}
	for _, step := range []struct {
		name         string
		Change       func(*Settings)
		master, node []string
		restart      bool
	}{
		{"external", func(s *Settings) {
			s.External = &External{Domain: "harbor.site", Username: "u", Password: "p"}
		}, hosts, hosts, false},
		{"user", func(s *Settings) { s.Username, s.Password = "admin", "a" }, slices.Concat(logins, configured), append(logins[:1:1], configured...), true},
		{"password", func(s *Settings) { s.Password = "b" }, slices.Concat(logins, hosts), append(logins[:1:1], hosts...), true},
		{"name of the certificate", func(s *Settings) { s.DNSNames = []string{"hub.site"} }, issued, nil, true},
		{"own certificate", func(s *Settings) {
			s.DNSNames, s.Certificate, s.Key, s.Authority = nil, own.Certificate, own.Key, authority
		},
			slices.Concat([]string{"pki/registry-authority.crt"}, issued, configured), append([]string{"pki/registry-authority.crt"}, configured...), true},
		{"an issued one again", func(s *Settings) { s.Certificate, s.Key, s.Authority = nil, nil, nil }, slices.Concat(issued, configured), configured, true},
		{"nobody asked", func(s *Settings) { s.Username, s.Password = "", "" }, configured, configured, true},
	} {
		step.Change(&p.Settings)
		written, restarted := apply(t, p, disks)
		for i, want := range [][]string{step.master, step.master, step.node} {
			if !slices.Equal(written[i], want) {
				t.Errorf("%s: host %d: wrote %q, want %q", step.name, i, written[i], want)
			}
			if got, want := restarted[i], step.restart && len(want) > 0; got != want {
				t.Errorf("%s: host %d: restarted %v, want %v", step.name, i, got, want)
			}
		}
	}
}

// What an interrupted run wrote and did not start is started by the next one.
func TestRestartThatWasInterrupted(t *testing.T) {
	p, disks := withRegistry(t, "10.0.0.1")
	apply(t, p, disks)
	p.Settings.Domain, disks[1].broken = "hub.site", true
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.99: start "+registryproxy.Unit) {
		t.Fatalf("got %v", err)
	}
	disks[1].broken = false
	if written, restarted := apply(t, p, disks); len(slices.Concat(written...)) > 0 || !slices.Equal(restarted, []bool{false, true}) {
		t.Errorf("wrote %q, and restarted on %v", written, restarted)
	}
}

func TestMirrors(t *testing.T) {
	p, _ := withRegistry(t, "10.0.0.1", "2001:db8::1")
	urls := func(s Settings) string {
		p.Settings = s
		var all []string
		for _, mirror := range p.mirrors(p.First()) {
			all = append(all, mirror.URL)
		}
		return strings.Join(all, " ")
	}
	for want, settings := range map[string]Settings{
		"http://127.0.0.1:5000 https://10.0.0.1:5000 https://[2001:db8::1]:5000":                          {},
		"http://127.0.0.1:5001 http://10.0.0.1:5001 http://[2001:db8::1]:5001":                            {Port: 5001, NoTLS: true},
		"http://127.0.0.1:5000 https://10.0.0.1:5000 https://[2001:db8::1]:5000 https://harbor.site:443":  {External: &External{Domain: "harbor.site"}},
		"http://127.0.0.1:5000 https://10.0.0.1:5000 https://[2001:db8::1]:5000 https://harbor.site:8443": {External: &External{Domain: "harbor.site", Port: 8443}},
		"http://127.0.0.1:5000 https://10.0.0.1:5000 https://[2001:db8::1]:5000 http://[2001:db8::9]:80":  {External: &External{Domain: "2001:db8::9", Port: 80}},
	} {
		if got := urls(settings); got != want {
			t.Errorf("asks %s, want %s", got, want)
		}
	}
}

// The service's unit sees its files wherever the data root is.
func TestUnitSeesTheDataRoot(t *testing.T) {
	for root, want := range map[string]string{"/var/lib/sealer/data": "ProtectHome=true", "/home/sealer": "ProtectHome=false"} {
		p, _ := withRegistry(t, "10.0.0.1")
		m := p.First()
		m.Dir = root + "/default"
		files, err := p.files(m)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(files, func(f unit.File) bool { return strings.HasPrefix(f.Path, unit.Dir) })
		if at < 0 {
			t.Fatalf("%s: no unit", root)
		}
		if !strings.Contains(string(files[at].Content), want+"\n") {
			t.Errorf("%s: %s has no %s:\n%s", root, files[at].Path, want, files[at].Content)
		}
	}
}

// Every master is the first that about as many hosts ask, and no master is left out; the order of a host is always the same.
func TestHostsAskDifferentMastersFirst(t *testing.T) {
	p, _ := withRegistry(t, "10.0.0.1", "10.0.0.2", "10.0.0.3")
	node, first := p.Members[3], map[string]int{}
	for i := range 90 {
		node.Host.Address = netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 4)})
		order := p.config(node).Seeds
		again := p.config(node).Seeds
		first[order[0]]++
		sorted := slices.Sorted(slices.Values(order))
		if !slices.Equal(sorted, p.seeds(nil)) || !slices.Equal(order, again) {
			t.Errorf("%s asks %q", node, order)
		}
	}
	for seed, n := range first {
		if len(first) != 3 || n < 15 || n > 45 {
			t.Errorf("%s is the first for %d of 90 hosts", seed, n)
		}
	}
}
