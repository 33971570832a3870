package phase

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host"
)

func TestSettingsInTheEnvironmentAndTheHostsFile(t *testing.T) {
	c := site(t, 1, bare(t))
	c.Artifact, c.Registry = artifact(t), RegistrySettings{Domain: "hub.site", Port: 5001}
	if env := c.environment(c.First()).Variables(); env["REGISTRY_DOMAIN"] != "hub.site" || env["REGISTRY_PORT"] != "5001" {
		t.Errorf("the environment is %v", env)
	}
	if lines := c.names(c.First()); !slices.Contains(lines, "127.0.0.1 hub.site") {
		t.Errorf("the hosts file is %q", lines)
	}
	if s := c.checked(t.Context(), nil, nil); s.RegistryPort != 5001 {
		t.Errorf("checked for the port %d, want 5001", s.RegistryPort)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	masters := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("2001:db8::1")}
	whole, authority := ownCertificate(t, "10.0.0.1", "10.0.0.2", "2001:db8::1")
	one, other := ownCertificate(t, "10.0.0.1")
	for name, test := range map[string]struct {
		settings RegistrySettings
		want     []string // in the error; none for settings that are right
	}{
		"nothing":                 {RegistrySettings{}, nil},
		"all":                     {RegistrySettings{Domain: "hub.site", Port: 5001, Username: "admin", Password: "x", Certificate: whole.Certificate, Key: whole.Key, Authority: authority}, nil},
		"trusted by itself":       {RegistrySettings{Certificate: whole.Certificate, Key: whole.Key}, nil},
		"a name it has":           {RegistrySettings{Certificate: whole.Certificate, Key: whole.Key, DNSNames: []string{"registry.site"}}, nil},
		"external":                {RegistrySettings{External: &ExternalRegistry{Domain: "10.0.0.9", Port: 80, Username: "u", Password: "p"}}, nil},
		"names to issue":          {RegistrySettings{DNSNames: []string{"*.site", "hub.site"}, IPs: masters}, nil},
		"port in the domain":      {RegistrySettings{Domain: "sea.hub:5000"}, []string{`domain "sea.hub:5000"`}},
		"line in the domain":      {RegistrySettings{Domain: "sea.hub\n10.0.0.1 x"}, []string{`domain "sea.hub\n`}},
		"capitals":                {RegistrySettings{Domain: "Sea.Hub"}, []string{`domain "Sea.Hub"`}},
		"an address":              {RegistrySettings{Domain: "10.0.0.1"}, []string{`domain "10.0.0.1"`}},
		"the API's port":          {RegistrySettings{Port: 6443}, []string{"port 6443"}},
		"the kubelet's port":      {RegistrySettings{Port: 10250}, []string{"port 10250"}},
		"no password":             {RegistrySettings{Username: "admin"}, []string{`"admin" without a password`}},
		"no username":             {RegistrySettings{Password: "secret"}, []string{"without a username"}},
		"colon":                   {RegistrySettings{Username: "a:b", Password: "secret"}, []string{"colon"}},
		"long password":           {RegistrySettings{Username: "a", Password: host.Secret(strings.Repeat("secret", 20))}, []string{"72 bytes"}},
		"missing addresses":       {RegistrySettings{Certificate: one.Certificate, Key: one.Key, Authority: other}, []string{"not 10.0.0.2", "not 2001:db8::1"}},
		"missing name":            {RegistrySettings{Certificate: whole.Certificate, Key: whole.Key, DNSNames: []string{"hub.site"}}, []string{"not hub.site"}},
		"another's key":           {RegistrySettings{Certificate: whole.Certificate, Key: one.Key}, []string{"certificate and key: "}},
		"another authority":       {RegistrySettings{Certificate: whole.Certificate, Key: whole.Key, Authority: other}, []string{"unknown authority"}},
		"no key":                  {RegistrySettings{Certificate: whole.Certificate}, []string{"go together"}},
		"an authority alone":      {RegistrySettings{Authority: authority}, []string{"go together"}},
		"no PEM":                  {RegistrySettings{Certificate: []byte("x"), Key: []byte("secret")}, []string{"certificate and key: "}},
		"an authority that is no": {RegistrySettings{Certificate: whole.Certificate, Key: whole.Key, Authority: []byte("x")}, []string{"certificate authority: no certificate"}},
		"insecure certificate":    {RegistrySettings{NoTLS: true, Certificate: whole.Certificate, Key: whole.Key}, []string{"insecure"}},
		"name to issue":           {RegistrySettings{DNSNames: []string{"a b"}}, []string{`"a b"`}},
		"no address to issue":     {RegistrySettings{IPs: []netip.Addr{{}}}, []string{"invalid IP"}},
		"external nowhere":        {RegistrySettings{External: &ExternalRegistry{}}, []string{`external registry: domain ""`}},
		"external path":           {RegistrySettings{External: &ExternalRegistry{Domain: "harbor.site/x"}}, []string{`domain "harbor.site/x"`}},
		"external user":           {RegistrySettings{External: &ExternalRegistry{Domain: "harbor.site", Username: "u"}}, []string{"external registry: username"}},
		"everything at once":      {RegistrySettings{Domain: "-", Port: 2379, Username: "u", NoTLS: true, Key: []byte("x")}, []string{`"-"`, "2379", `"u"`, "insecure"}},
	} {
		err := test.settings.Check(masters)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v tells the secret", name, err)
		}
		if (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range test.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}
