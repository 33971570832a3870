package command

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
)

func TestRead(t *testing.T) {
	for line, want := range map[string]string{
		"":                                        "",
		"kubectl apply -f a.yaml":                 `["kubectl" "apply" "-f" "a.yaml"]`,
		"cd x && helm install 'a b' \"c\"\\ d":    `["cd" "x"]["helm" "install" "a b" "c d"]`,
		"a || true; b | c > out":                  `["a"]?["true"]?["b"]["c"]>out`,
		"a && b || c":                             `["a"]?["b"]?["c"]?`,
		"echo $X *.yaml \"$Y\"z ~/a {b,c} '*'":    `["echo" "" "" "" "" "" "*"]`,
		"echo '{\"a\": 1}' \"[b]\" > $C":          `["echo" "{\"a\": 1}" "[b]"]>`,
		"if a; then b; elif c; then d; fi; e":     `["a"]?["b"]?["c"]?["d"]?["e"]`,
		"until a; do b; done":                     `["a"]?["b"]?`,
		"for x in a b; do c $x; done":             `["c" ""]`,
		"test -f a && b; [ -f c ] && d":           `["test" "-f" "a"]["b"]?["[" "-f" "c" "]"]["d"]?`,
		"[[ -f a ]] && b; ! a && b":               `["b"]?["a"]?["b"]?`,
		"echo $(kubectl get pods)":                `["echo" ""]["kubectl" "get" "pods"]`,
		"bash -ec 'a; b || c'; sh -x d; bash":     `["a"]["b"]?["c"]?["sh" "-x" "d"]["bash"]`,
		"sudo helm list; env A=b c; exec kubectl": `["helm" "list"]["env" "A=b" "c"]["kubectl"]`,
		"A=b kubectl get":                         `["kubectl" "get"]`,
		"echo 'open":                              "",
	} {
		if got := text(Read(imagespec.Command{Shell: line})); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	for want, argv := range map[string][]string{
		`["a b" "$C"]`:   {"a b", "$C"},
		`["a" "b"]["c"]`: {"/bin/bash", "-c", "a b; c"},
	} {
		if got := text(Read(imagespec.Command{Exec: argv})); got != want {
			t.Errorf("%q: %s, want %s", argv, got, want)
		}
	}
}

func text(list []Simple) string {
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "%q", c.Words)
		if c.Guarded {
			b.WriteString("?")
		}
		for _, w := range c.Writes {
			b.WriteString(">" + w)
		}
	}
	return b.String()
}

func TestVerb(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/bin/kubectl --kubeconfig=x apply": "kubectl apply",
		"kubectl -n x --context y create ns z":  "kubectl create",
		"helm --debug upgrade":                  "helm upgrade",
		"kubectl":                               "kubectl ",
		"kubectl -n":                            "kubectl ",
	} {
		program, verb := Read(imagespec.Command{Shell: line})[0].Verb()
		if program+" "+verb != want {
			t.Errorf("%s: %s %s, want %s", line, program, verb, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a || b; c $(d) > e")
	f.Add("sh -c 'bash -c \"a\"'; if b; then sudo c; fi")
	f.Fuzz(func(_ *testing.T, line string) {
		for _, c := range Read(imagespec.Command{Shell: line}) {
			c.Verb()
		}
	})
}
