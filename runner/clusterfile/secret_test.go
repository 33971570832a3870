package clusterfile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/environment"
)

// secretPlaces are Clusterfiles with a place %s for a value that may be a secret.
var secretPlaces = map[string]string{
	"ssh.passwd":           "ssh:\n    user: root\n    passwd: %s\n",
	"ssh.passwd, flow":     "ssh: {user: root, passwd: %s}\n",
	"ssh.passwd, quoted":   "ssh:\n    passwd: \"%s\n",
	"ssh.passwd, indented": "ssh:\n     user: root\n    passwd: %s\n",
	"ssh.pkPasswd":         "ssh:\n    pkPasswd: %s\n",
	"ssh.password":         "ssh:\n    password: %s\n", // no such field
	"ssh":                  "ssh: %s\n",
	"ssh, a list":          "ssh: [%s]\n",
	"registry":             "registry:\n    localRegistry:\n      username: admin\n      password: %s\n",
	"registry, flow":       "registry: {localRegistry: {username: admin, password: %s}}\n",
	"registry, a map":      "registry: {localRegistry: {username: admin, password: {a: %s}}}\n",
	"external registry":    "registry:\n    externalRegistry:\n      password: %s\n",
	"env":                  "env:\n    TOKEN: %s\n",
	"env, a list":          "env:\n  - %s\n",
	"env, of a list":       "env:\n  - TOKEN=%s\n",
	"env, deep":            "env:\n    TOKEN: {a: %s}\n",
	"env, one":             "env: %s\n",
	"cmd":                  "cmd: %s\n",
	"cmd_args":             "cmd_args: [%s]\n",
	"an unknown field":     "token: %s\n",
	"twice":                "image: a:v1\n  image: %s\n",
	"encrypted":            "ssh: {encrypted: %s}\n",
	"a tab":                "ssh:\n\tpasswd: %s\n",
	"a merge key":          "ssh: {<<: %s}\n",
}

// secretForms are what a password can look like to YAML. CANARY is in all of them.
var secretForms = []string{
	"CANARY", "!CANARY", "!!CANARY", "!<CANARY>", "*CANARY", "&CANARY", "#CANARY", "@CANARY", "%CANARY", "`CANARY", "|CANARY", ">CANARY", "'CANARY", `"CANARY`,
	"CANARY: CANARY", "- CANARY", "? CANARY", "[CANARY", "{CANARY", "{CANARY}", "[CANARY]", "CANARY,CANARY", "a,CANARY", "!!int CANARY", "!!binary CANARY",
	"!!bool CANARY", "!a CANARY", "&a CANARY", "\"CANARY\\q\"", "CANARY\x01", "\tCANARY", "CANARY:", "=CANARY", "CANARY=", "{a: CANARY, a: CANARY}",
	"*CANARY CANARY", "<<: CANARY", "!CANARY{", "'CANARY'CANARY", "]CANARY", "}CANARY",
}

// TestNoSecretInErrors writes passwords that YAML reads as something else into every place of a Clusterfile.
func TestNoSecretInErrors(t *testing.T) {
	const frame = "apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: c}\nspec:\n  %s  hosts: [{ips: [10.0.0.1], roles: [master]}]\n"
	refused := 0
	for place, text := range secretPlaces {
		for _, form := range secretForms {
			file, err := Parse("Clusterfile", []byte(fmt.Sprintf(frame, strings.ReplaceAll(text, "%s", form))))
			if err != nil {
				refused++
				if strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "Clusterfile:") {
					t.Errorf("%s: %s: %v", place, form, err)
				}
			} else if warnings := strings.Join(file.Warnings, "\n"); strings.Contains(warnings, "CANARY") {
				t.Errorf("%s: %s: %s", place, form, warnings)
			}
		}
	}
	if refused < 400 {
		t.Errorf("only %d texts were refused", refused)
	}
}

// TestNoSecretInErrorsOfDocuments: the same in documents for kubeadm and in data.
func TestNoSecretInErrorsOfDocuments(t *testing.T) {
	for _, text := range []string{
		"kind: InitConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\nbootstrapTokens:\n- token: %s\n",
		"kind: InitConfiguration\nbootstrapTokens: %s\n",
		"kind: InitConfiguration\ncertificateKey: %s\n",
		"kind: InitConfiguration\ncertificateKey: {a: %s}\n",
		"kind: ClusterConfiguration\napiServer: {extraArgs: {a: %s}}\n",
		"kind: ClusterConfiguration\netcd: {external: {keyFile: [%s]}}\n",
		"kind: KubeletConfiguration\nstaticPodURLHeader: {a: %s}\n",
		"apiVersion: sealer.io/v2\nkind: Config\nmetadata: {name: c}\nspec:\n  path: etc/a.yaml\n  strategy: merge\n  data: |\n    password: %s\n",
		"apiVersion: sealer.io/v2\nkind: Config\nmetadata: {name: c}\nspec:\n  path: etc/a.yaml\n  strategy: merge\n  data: |\n    %s\n",
		"apiVersion: sealer.io/v2\nkind: Config\nmetadata: {name: c}\nspec:\n  path: etc/a.json\n  strategy: merge\n  data: |\n    {\"a\": %s}\n",
		"apiVersion: sealer.io/v2\nkind: Config\nmetadata: {name: c}\nspec:\n  path: etc/a.yaml\n  process: value|toBase64|toSecret\n  data: |\n    password: %s\n",
		"apiVersion: sealer.io/v2\nkind: Config\nmetadata: {name: c}\nspec:\n  path: etc/a.yaml\n  process: toSecret\n  data: |\n    password: %s\n",
		"apiVersion: sealer.io/v2\nkind: Config\nmetadata: {name: c}\nspec:\n  path: etc/a.yaml\n  data: %s\n",
	} {
		for _, form := range secretForms {
			_, err := Parse("Clusterfile", []byte(strings.ReplaceAll(text, "%s", form)))
			if err != nil && strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s: %s: %v", text, form, err)
			}
		}
	}
}

// TestNoSecretInErrorsOfMerges: what is in the file of the image, or in the data, is not shown.
func TestNoSecretInErrorsOfMerges(t *testing.T) {
	for _, name := range []string{"a.yaml", "a.json"} {
		for _, old := range []string{"password: %s\n", "%s\n", "a: b\n---\n- %s\n", `{"a": %s`, `{"a": "%s`} {
			for _, form := range secretForms {
				c := config.Config{Name: "c", Path: "etc/" + name, Data: "a: b\n", Strategy: "merge", Where: "Clusterfile:1:1"}
				if _, err := c.Apply([]byte(strings.ReplaceAll(old, "%s", form))); err != nil && strings.Contains(err.Error(), "CANARY") {
					t.Errorf("%s: %s: %v", old, form, err)
				}
			}
		}
	}
}

// TestLostPasswords: a password that YAML reads as nothing is missed, and one that is not written at all is not.
func TestLostPasswords(t *testing.T) {
	for text, want := range map[string]string{
		"passwd: #secret":              "passwd is empty: put a value that begins with # or & in quotes",
		"passwd: &secret":              "passwd is empty: put a value that begins with # or & in quotes",
		"pkPasswd: #secret":            "pkPasswd is empty",
		"passwd: !secret":              "YAML reads a value that begins with ! as a tag",
		"passwd: *secret":              "YAML reads a value that begins with * as an alias",
		"passwd: @secret":              "a value begins with a tab, @, % or `",
		"passwd:":                      "",
		"passwd: ''":                   "",
		"passwd: '#secret'":            "",
		"passwd: \"!secret\"":          "",
		"user: root # the one we have": "",
	} {
		_, err := Parse("Clusterfile", []byte("apiVersion: sealer.io/v2\nkind: Cluster\nspec:\n  hosts: [{ips: [10.0.0.1], roles: [master]}]\n  ssh:\n    "+text+"\n"))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "Clusterfile:6")) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// TestNoSecretInErrorsOfTemplates: templates fail without showing what they were given.
func TestNoSecretInErrorsOfTemplates(t *testing.T) {
	set := environment.Set{"SECRET": {"CANARY(\"x"}}
	for _, text := range []string{
		"{{ .SECRET.x }}", "{{ index .SECRET 99 }}", "{{ index .SECRET \"a\" }}", "{{ fail .SECRET }}", "{{ mustRegexMatch .SECRET \"a\" }}", "{{ urlParse (printf \"%s%%zz\" .SECRET) }}",
		"{{ mustToDate \"2006\" .SECRET }}", "{{ template .SECRET }}", "{{ mustFromJson .SECRET }}", "{{ .SECRET | int64 | call }}", "{{ semver .SECRET }}", "{{ .OTHER }}",
	} {
		if _, err := set.Render(map[string][]byte{"etc/a.tmpl": []byte(text)}); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
