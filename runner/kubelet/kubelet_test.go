package kubelet

import "testing"

func TestKubeletHealth(t *testing.T) {
	for settings, want := range map[string]string{
		"":                 "http://127.0.0.1:10248/healthz",
		"healthzPort: 0\n": "",
		"healthzPort: 10300\nhealthzBindAddress: 10.0.0.1\n": "http://10.0.0.1:10300/healthz",
		"healthzBindAddress: 0.0.0.0\n":                      "http://127.0.0.1:10248/healthz",
		"healthzBindAddress: fd00::1\n":                      "http://[fd00::1]:10248/healthz",
	} {
		got := ""
		questions, err := health([]byte(settings))
		for _, q := range questions {
			got += q.URL
		}
		if err != nil || got != want {
			t.Errorf("%q: asks %q, %v; want %q", settings, got, err, want)
		}
	}
	if _, err := health([]byte("healthzPort: [")); err == nil {
		t.Error("settings that are no YAML are taken")
	}
}
