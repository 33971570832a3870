package environment

import (
	"strings"
	"testing"
)

func TestIsTemplate(t *testing.T) {
	for name, want := range map[string]bool{
		"etc/app.yaml.tmpl": true, "scripts/deep/x.sh.tmpl": true, "applications/a/x.yml.tmpl": true,
		"manifests/plain.yaml": false, "statics/no.tmpl": false, "top.tmpl": false, "etc/.tmpl": false, "etcetera/x.tmpl": false,
	} {
		if got := IsTemplate(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestRender(t *testing.T) {
	env := Set{"HOST_IP": {"10.0.0.1"}, "docker-dir": {"/d"}, "NAME": {"x"}, "DISKS": {"sda", "sdb"}}
	got, err := env.Render(map[string][]byte{
		"etc/app.yaml.tmpl":      []byte("ip: {{ .HOST_IP }}\ndir: {{ .docker_dir }}{{ index . \"docker-dir\" }}\n"),
		"scripts/deep/x.sh.tmpl": []byte(`echo {{ .NAME | upper | quote }}`),
		"etc/list.tmpl":          []byte(`{{ range .DISKS }}/dev/{{ . }} {{ end }}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"etc/app.yaml": "ip: 10.0.0.1\ndir: /d/d\n", "scripts/deep/x.sh": `echo "X"`, "etc/list": "/dev/sda /dev/sdb ",
	} {
		if string(got[name]) != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

func TestRenderErrors(t *testing.T) {
	cases := []struct{ name, template, want string }{
		{"missing value", "line\n{{ .MISSING }}", "etc/bad.tmpl:2"},
		{"what to do", "{{ .MISSING }}", "-e NAME=VALUE"},
		{"syntax", "{{ if }}", "etc/bad.tmpl:1"},
		{"unknown function", "{{ shout . }}", "shout"},
		{"own environment", `{{ env "HOME" }}`, "env"},
		{"network", `{{ getHostByName "x" }}`, "getHostByName"},
		{"too much", `{{ $x := repeat 1048576 "x" }}{{ range until 20 }}{{ $x }}{{ end }}`, "more than"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Set{}.Render(map[string][]byte{"etc/bad.tmpl": []byte(c.template), "etc/good.tmpl": []byte("x")})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "etc/bad.tmpl") {
				t.Fatalf("error is %v, want etc/bad.tmpl and %q", err, c.want)
			}
		})
	}
}

func TestRenderSaysAllThatIsWrong(t *testing.T) {
	_, err := Set{}.Render(map[string][]byte{"etc/a.tmpl": []byte("{{ .A }}"), "etc/b.tmpl": []byte("{{ .B }}")})
	if err == nil || !strings.Contains(err.Error(), "etc/a.tmpl") || !strings.Contains(err.Error(), "etc/b.tmpl") {
		t.Errorf("error is %v", err)
	}
}

func FuzzRender(f *testing.F) {
	for _, seed := range []string{"{{ .A }}", "{{ range .A }}", `{{ "x" | repeat 3 }}`, "{{ index . \"docker-dir\" }}", "{{/* */}}", "\x00{{"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		if len(template) > 200 || strings.Contains(template, "repeat") || strings.Contains(template, "until") || strings.Contains(template, "seq") {
			return // what takes long by design is bounded by the size of what is written, not by time
		}
		env := Set{"A": {"1"}, "docker-dir": {"/d", "/e"}}
		got, err := env.Render(map[string][]byte{"etc/x.tmpl": []byte(template)})
		if _, ok := got["etc/x"]; err == nil && !ok {
			t.Fatal("rendered to nothing")
		}
	})
}
