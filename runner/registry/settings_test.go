package registry

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host"
)

func TestSettingsThatAreRefused(t *testing.T) {
	masters := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("2001:db8::1")}
	whole, authority := ownCertificate(t, "10.0.0.1", "10.0.0.2", "2001:db8::1")
	one, other := ownCertificate(t, "10.0.0.1")
	for name, test := range map[string]struct {
		settings Settings
		want     []string // in the error; none for settings that are right
	}{
		"nothing":                 {Settings{}, nil},
		"all":                     {Settings{Domain: "hub.site", Port: 5001, Username: "admin", Password: "x", Certificate: whole.Certificate, Key: whole.Key, Authority: authority}, nil},
		"trusted by itself":       {Settings{Certificate: whole.Certificate, Key: whole.Key}, nil},
		"a name it has":           {Settings{Certificate: whole.Certificate, Key: whole.Key, DNSNames: []string{"registry.site"}}, nil},
		"external":                {Settings{External: &External{Domain: "10.0.0.9", Port: 80, Username: "u", Password: "p"}}, nil},
		"names to issue":          {Settings{DNSNames: []string{"*.site", "hub.site"}, IPs: masters}, nil},
		"port in the domain":      {Settings{Domain: "sea.hub:5000"}, []string{`domain "sea.hub:5000"`}},
		"line in the domain":      {Settings{Domain: "sea.hub\n10.0.0.1 x"}, []string{`domain "sea.hub\n`}},
		"capitals":                {Settings{Domain: "Sea.Hub"}, []string{`domain "Sea.Hub"`}},
		"an address":              {Settings{Domain: "10.0.0.1"}, []string{`domain "10.0.0.1"`}},
		"the API's port":          {Settings{Port: 6443}, []string{"port 6443"}},
		"the kubelet's port":      {Settings{Port: 10250}, []string{"port 10250"}},
		"no password":             {Settings{Username: "admin"}, []string{`"admin" without a password`}},
		"no username":             {Settings{Password: "secret"}, []string{"without a username"}},
		"colon":                   {Settings{Username: "a:b", Password: "secret"}, []string{"colon"}},
		"long password":           {Settings{Username: "a", Password: host.Secret(strings.Repeat("secret", 20))}, []string{"72 bytes"}},
		"missing addresses":       {Settings{Certificate: one.Certificate, Key: one.Key, Authority: other}, []string{"not 10.0.0.2", "not 2001:db8::1"}},
		"missing name":            {Settings{Certificate: whole.Certificate, Key: whole.Key, DNSNames: []string{"hub.site"}}, []string{"not hub.site"}},
		"another's key":           {Settings{Certificate: whole.Certificate, Key: one.Key}, []string{"certificate and key: "}},
		"another authority":       {Settings{Certificate: whole.Certificate, Key: whole.Key, Authority: other}, []string{"unknown authority"}},
		"no key":                  {Settings{Certificate: whole.Certificate}, []string{"go together"}},
		"an authority alone":      {Settings{Authority: authority}, []string{"go together"}},
		"no PEM":                  {Settings{Certificate: []byte("x"), Key: []byte("secret")}, []string{"certificate and key: "}},
		"an authority that is no": {Settings{Certificate: whole.Certificate, Key: whole.Key, Authority: []byte("x")}, []string{"certificate authority: no certificate"}},
		"insecure certificate":    {Settings{NoTLS: true, Certificate: whole.Certificate, Key: whole.Key}, []string{"insecure"}},
		"name to issue":           {Settings{DNSNames: []string{"a b"}}, []string{`"a b"`}},
		"no address to issue":     {Settings{IPs: []netip.Addr{{}}}, []string{"invalid IP"}},
		"external nowhere":        {Settings{External: &External{}}, []string{`external registry: domain ""`}},
		"external path":           {Settings{External: &External{Domain: "harbor.site/x"}}, []string{`domain "harbor.site/x"`}},
		"external user":           {Settings{External: &External{Domain: "harbor.site", Username: "u"}}, []string{"external registry: username"}},
		"everything at once":      {Settings{Domain: "-", Port: 2379, Username: "u", NoTLS: true, Key: []byte("x")}, []string{`"-"`, "2379", `"u"`, "insecure"}},
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
