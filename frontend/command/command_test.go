package command

import (
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]string{
		"":                                     "",
		"kubectl apply -f a.yaml":              `["kubectl" "apply" "-f" "a.yaml"]`,
		"cd x && helm install 'a b' \"c\"\\ d": `["cd" "x"]["helm" "install" "a b" "c d"]`,
		"a || true; b | c > out":               `["a"]?["true"]["b"]["c"]>out`,
		"echo $X *.yaml \"$Y\"z":               `["echo" "" "" ""]`,
		"if a; then b; fi":                     `["a"]["b"]`,
		"echo $(kubectl get pods)":             `["echo" ""]["kubectl" "get" "pods"]`,
		"echo 'open":                           "",
	} {
		var got strings.Builder
		for _, c := range Parse(line) {
			fmt.Fprintf(&got, "%q", c.Words)
			if c.MayFail {
				got.WriteString("?")
			}
			for _, w := range c.Writes {
				got.WriteString(">" + w)
			}
		}
		if got.String() != want {
			t.Errorf("%s: %s, want %s", line, got.String(), want)
		}
	}
}

func TestVerb(t *testing.T) {
	program, verb := Parse("/usr/bin/kubectl --kubeconfig=x apply")[0].Verb()
	if program != "kubectl" || verb != "apply" {
		t.Errorf("%s %s", program, verb)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a || b; c $(d) > e")
	f.Fuzz(func(_ *testing.T, line string) {
		for _, c := range Parse(line) {
			c.Verb()
		}
	})
}
