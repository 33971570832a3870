package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the golden files")

func apply(t *testing.T, c Config, old string) string {
	t.Helper()
	var before []byte
	if old != "" {
		before = []byte(old)
	}
	result, err := c.Apply(before)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Apply(result)
	if err != nil || string(again) != string(result) {
		t.Errorf("applied again: %v\n%s\ninstead of\n%s", err, again, result)
	}
	return string(result)
}

// applyCase is a file, and what becomes of it by a Config.
type applyCase struct {
	name, ext, strategy, process string
	old, data, want              string
}

func testApply(t *testing.T, cases []applyCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			c := Config{Name: "mysql-config", Path: "etc/x" + test.ext, Data: test.data, Strategy: test.strategy, Where: "Clusterfile:12"}
			if test.process != "" {
				c.Process = strings.Split(test.process, "|")
			}
			if got := apply(t, c, test.old); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestOverwrite(t *testing.T) {
	testApply(t, []applyCase{
		{"overwrite is the default", ".yaml", "", "", "a: 1\n", "b: 2\n", "b: 2\n"},
		{"overwrite", ".conf", "Overwrite", "", "old", "not: [yaml", "not: [yaml"},
		{"overwrite by nothing", ".conf", "", "", "old", "", ""},
	})
}

func TestMergedValues(t *testing.T) {
	testApply(t, []applyCase{
		{"merge", ".yaml", "Merge", "", "a: 1\nb: 2\n", "b: 3\nc: 4\n", "a: 1\nb: 3\nc: 4\n"},
		{"merge into nothing", ".yaml", "merge", "", "", "# mine\na: &x 1\nb: *x\n", "# mine\na: &x 1\nb: *x\n"},
		{"merge into comments", ".yaml", "merge", "", "# replicas: 1", "replicas: 2\n", "# replicas: 1\nreplicas: 2\n"},
		{"merge into an empty map", ".yaml", "merge", "", "a: {}\n", "a:\n  b: 1\n", "a:\n  b: 1\n"},
		{"merge of what is there", ".yaml", "merge", "", "a:   1 # as it\n\nb:   [x,y]\n", "b: [x, 'y']\n", "a:   1 # as it\n\nb:   [x,y]\n"},
		{"false, 0 and the empty string win", ".yaml", "merge", "", "a: true\nb: 1\nc: x\n", "a: false\nb: 0\nc: \"\"\n", "a: false\nb: 0\nc: \"\"\n"},
		{"null overwrites", ".yaml", "merge", "", "a: {b: 1}\nc: 1\n", "a: null\nc:\n", "a: null\nc:\n"},
		{"lists are replaced", ".yaml", "merge", "", "a: [1, 2, 3]\n", "a: [4]\n", "a: [4]\n"},
		{"another type", ".yaml", "merge", "", "a: {b: 1}\nc: [1]\nd: 1\n", "a: 1\nc: {x: 1}\nd: \"1\"\n", "a: 1\nc: {x: 1}\nd: \"1\"\n"},
		{"quotes tell a string from a boolean", ".yaml", "merge", "", "a: yes\nb: \"on\"\n", "a: \"yes\"\nb: on\n", "a: \"yes\"\nb: on\n"},
		{"a key in quotes", ".yaml", "merge", "", "1: a\n", "\"1\": b\n", "1: b\n"},
	})
}

func TestMergeKeepsTheForm(t *testing.T) {
	testApply(t, []applyCase{
		{"comments stay", ".yaml", "merge", "", "# top\n\n# of a\na: 1 # one\n# of b\nb:\n  # of c\n  c: 2 # two\n# end\n", "a: 2\nb: {c: 3}\n",
			"# top\n\n# of a\na: 2 # one\n# of b\nb:\n  # of c\n  c: 3 # two\n# end\n"},
		{"indentation stays", ".yaml", "merge", "", "a:\n    b:\n        c: 1\n    e: 1\n", "a: {e: 2}\n", "a:\n    b:\n        c: 1\n    e: 2\n"},
		{"lists stay where they are", ".yaml", "merge", "", "a:\n  b:\n  - c: 1\n    d: 2\n  e: 1\n", "a: {e: 2}\n", "a:\n  b:\n  - c: 1\n    d: 2\n  e: 2\n"},
		{"lists stay indented", ".yaml", "merge", "", "a:\n  b:\n    - 1\n  c: 1\n", "a: {c: 2}\n", "a:\n  b:\n    - 1\n  c: 2\n"},
		{"quotes and blocks stay", ".yaml", "merge", "", "a: 'x'\nb: |\n  one\n  two\nc: {d: \"y\"}\ne: 1\n", "e: 2\n", "a: 'x'\nb: |\n  one\n  two\nc: {d: \"y\"}\ne: 2\n"},
		{"aliases are written out where others change", ".yaml", "merge", "", "kind: A\na: &x {b: 1}\nc: *x\n---\nkind: B\nd: &y 1\ne: *y\n", "kind: A\na: {b: 2}\nd: 1\n",
			"kind: A\na: {b: 2}\nc: {b: 1}\nd: 1\n---\nkind: B\nd: &y 1\ne: *y\n"},
		{"merge keys", ".yaml", "merge", "", "x: &x\n  a: {b: 1, c: 2}\n  d: 1\ny:\n  <<: *x\n  d: 2\n", "y:\n  a: {b: 3}\n",
			"x:\n  a: {b: 1, c: 2}\n  d: 1\ny:\n  d: 2\n  a: {b: 3, c: 2}\n"},
	})
}

func TestMergeIntoDocuments(t *testing.T) {
	testApply(t, []applyCase{
		{"one document among others and comments", ".yaml", "merge", "", "kind: A\na: 1\n--- # second\nkind: B\na: 1\nb: 2\n---\n# nothing\n---\na:  3\n", "kind: B\na: 3\n",
			"kind: A\na: 1\n--- # second\nkind: B\na: 3\nb: 2\n---\n# nothing\n---\na:  3\n"},
		{"the only document beside comments", ".yaml", "merge", "", "# nothing\n---\na: 1\n---\n", "a: 3\n", "# nothing\n---\na: 3\n---\n"},
		{"one object of several", ".yaml", "merge", "", "kind: A\nmetadata: {name: x}\n---\nkind: A\nmetadata: {name: y}\n", "kind: A\nmetadata: {name: y}\nspec: 1\n",
			"kind: A\nmetadata: {name: x}\n---\nkind: A\nmetadata: {name: y}\nspec: 1\n"},
		{"the name of the only object", ".yaml", "merge", "", "kind: A\nmetadata: {name: x}\n", "metadata: {name: y}\n", "kind: A\nmetadata: {name: y}\n"},
		{"by kind", ".yaml", "merge", "", "kind: A\nmetadata: {name: default}\n---\nkind: B\nmetadata: {name: default}\n", "kind: B\nspec: 1\n",
			"kind: A\nmetadata: {name: default}\n---\nkind: B\nmetadata: {name: default}\nspec: 1\n"},
		{"by name", ".yaml", "merge", "", "kind: A\nmetadata: {name: x}\n---\nkind: A\nmetadata: {name: y}\n", "metadata: {name: y}\nspec: 1\n",
			"kind: A\nmetadata: {name: x}\n---\nkind: A\nmetadata: {name: y}\nspec: 1\n"},
		{"by apiVersion", ".yaml", "merge", "", "apiVersion: v1\nkind: A\n---\napiVersion: v2\nkind: A\n", "apiVersion: v2\nkind: A\nspec: 1\n",
			"apiVersion: v1\nkind: A\n---\napiVersion: v2\nkind: A\nspec: 1\n"},
		{"by namespace", ".yaml", "merge", "", "kind: A\nmetadata: {name: x}\n---\nkind: A\nmetadata: {name: x, namespace: n}\n", "kind: A\nmetadata: {name: x, namespace: n}\nspec: 1\n",
			"kind: A\nmetadata: {name: x}\n---\nkind: A\nmetadata: {name: x, namespace: n}\nspec: 1\n"},
		{"a namespace for an object without one", ".yaml", "merge", "", "kind: A\nmetadata: {name: x}\n---\nkind: B\n", "kind: A\nmetadata: {name: x, namespace: n}\n",
			"kind: A\nmetadata: {name: x, namespace: n}\n---\nkind: B\n"},
		{"an object beside values", ".yaml", "merge", "", "a: 1\n---\nkind: B\n", "kind: B\na: 2\n", "a: 1\n---\nkind: B\na: 2\n"},
		{"the kind of values", ".yaml", "merge", "", "a: 1\n", "kind: B\n", "a: 1\nkind: B\n"},
		{"several objects", ".yaml", "merge", "", "kind: A\nmetadata: {name: x, namespace: n}\n---\nkind: B\nmetadata: {name: x}\n",
			"kind: B\nmetadata: {name: x}\nspec: 1\n---\nkind: A\nmetadata: {name: x}\nspec: 2\n",
			"kind: A\nmetadata: {name: x, namespace: n}\nspec: 2\n---\nkind: B\nmetadata: {name: x}\nspec: 1\n"},
		{"windows", ".yaml", "merge", "", "kind: A\r\na: 1\r\n---\r\nkind: B\r\na: 2\r\n", "kind: A\na: 2\n", "kind: A\na: 2\n---\r\nkind: B\r\na: 2\r\n"},
	})
}

func TestMergeIntoJSON(t *testing.T) {
	testApply(t, []applyCase{
		{"JSON", ".json", "merge", "", "{\n\t\"b\": {\"x\": 1e3, \"y\": \"\\ud83d\\ude00<\"},\n\t\"a\": 12345678901234567890\n}\n", "b:\n  x: 0x10\nc: [on, ~]\n",
			"{\n\t\"b\": {\n\t\t\"x\": 16,\n\t\t\"y\": \"😀<\"\n\t},\n\t\"a\": 12345678901234567890,\n\t\"c\": [\n\t\t\"on\",\n\t\tnull\n\t]\n}\n"},
		{"JSON on a line", ".json", "merge", "", `{"a": 1}`, `{"b": {"c": false}}`, `{"a":1,"b":{"c":false}}`},
		{"JSON that has it", ".json", "merge", "", `{"a":   1.0}`, `{"a": 1.0}`, `{"a":   1.0}`},
		{"JSON into nothing", ".json", "merge", "", "", "a: {b: 1}\n", "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n"},
	})
}

func TestProcess(t *testing.T) {
	testApply(t, []applyCase{
		{"to JSON", ".json", "", "toJson", "", "b: {x: 1}\na: [yes, 0x10, .5, 2001-01-01, null, true]\n", `{"b":{"x":1},"a":["yes",16,0.5,"2001-01-01",null,true]}`},
		{"to base64", ".txt", "", "TOBASE64", "", "text\n", "dGV4dAo="},
		{"to JSON in base64", ".txt", "", "toJson|toBase64", "", "a: 1\n", "eyJhIjoxfQ=="},
		{"each value to JSON", ".yaml", "", "value|toJson", "", "a: {b: 1}\nc: text\n", "a: '{\"b\":1}'\nc: '\"text\"'\n"},
		{"each value to base64", ".yaml", "", "value|toBase64", "", "a: root # who\nc: 5\nd:\n", "a: cm9vdA== # who\nc: NQ==\nd: \"\"\n"},
		{"each value to base64, merged", ".yaml", "merge", "value|toBase64", "b: 1\na: x\n", "a: root\n", "b: 1\na: cm9vdA==\n"},
		{"to a Secret", ".yaml", "", "value|toJson|toBase64|toSecret", "", "config: {user: root}\n",
			"apiVersion: v1\nkind: Secret\nmetadata:\n  name: \"mysql-config\"\ntype: Opaque\ndata:\n  config: eyJ1c2VyIjoicm9vdCJ9\n"},
		{"into a Secret", ".yaml", "", "toSecret", "kind: ConfigMap\ndata: {a: x}\n---\nkind: Secret\ndata:\n  a: eA==\n  b: eA==\nstringData:\n  a: old\n  c: y\n", "a: cm9vdA==\n",
			"kind: ConfigMap\ndata: {a: x}\n---\nkind: Secret\ndata:\n  a: cm9vdA==\n  b: eA==\nstringData:\n  c: y\n"},
		{"into one of several Secrets", ".yaml", "merge", "toSecret", "kind: Secret\nmetadata: {name: x}\n---\nkind: Secret\nmetadata: {name: mysql-config}\n", "a: eA==\n",
			"kind: Secret\nmetadata: {name: x}\n---\nkind: Secret\nmetadata: {name: mysql-config}\ndata:\n  a: eA==\n"},
		{"to a Secret in JSON", ".json", "", "value|toBase64|toSecret", `{"kind":"Secret"}`, "a: x\n", `{"kind":"Secret","data":{"a":"eA=="}}`},
	})
}

// TestGolden merges values as a site has them into files as images have them: testdata/NAME/{old,data,want}.yaml.
func TestGolden(t *testing.T) {
	dirs, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			read := func(name string) string {
				data, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				return string(data)
			}
			c := Config{Name: "golden", Path: "etc/values.yaml", Data: read("data.yaml"), Strategy: "merge"}
			got := apply(t, c, read("old.yaml"))
			if *update {
				if err := os.WriteFile(filepath.Join(dir, "want.yaml"), []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := read("want.yaml"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestFile(t *testing.T) {
	for want, c := range map[string]Config{
		"etc/mysql.yaml":                    {Path: "./etc//mysql.yaml"},
		"applications/mysql/etc/mysql.yaml": {Path: "etc/mysql.yaml", App: "mysql"},
	} {
		c.Where = "Clusterfile:1"
		if err := c.Check(); err != nil || c.File() != want {
			t.Errorf("%s instead of %s, %v", c.File(), want, err)
		}
	}
}

// refusedCase is a Config that Check refuses.
type refusedCase struct {
	c    Config
	says string
}

func testRefused(t *testing.T, cases []refusedCase) {
	t.Helper()
	for _, test := range cases {
		if test.c.Name == "" {
			test.c.Name = "mysql"
		}
		test.c.Where = "Clusterfile:12"
		err := test.c.Check()
		if err == nil || !strings.HasPrefix(err.Error(), "Clusterfile:12: Config ") || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%.100q: %v, want %q", test.c, err, test.says)
		}
		if _, applied := test.c.Apply(nil); applied == nil || applied.Error() != err.Error() {
			t.Errorf("applied: %v", applied)
		}
	}
}

func TestCheck(t *testing.T) {
	testRefused(t, []refusedCase{
		{Config{}, "path is empty"},
		{Config{Path: "/etc/x"}, `path "/etc/x" is not the relative path`},
		{Config{Path: "../x"}, `path "../x" is not`},
		{Config{Path: "etc/../../x"}, "is not the relative path"},
		{Config{Path: "."}, "is not the relative path"},
		{Config{Path: "etc/"}, "is not the relative path"},
		{Config{Path: "etc/x\x00"}, "is not the relative path"},
		{Config{Path: "./.kubefile/unpacked.json"}, ".kubefile is not for configuration"},
		{Config{Path: ".kubefile"}, ".kubefile is not for configuration"},
		{Config{Path: "x", App: "../y"}, `appName: invalid cluster image: "../y" cannot name an application`},
		{Config{Path: "x", Strategy: "append"}, `strategy "append": there are overwrite and merge`},
		{Config{Path: "x", Process: []string{"toYaml"}}, `process: no processor "toYaml": there are value, toJson, toBase64, toSecret`},
		{Config{Path: "x", Process: []string{"toBase64", "toJson"}}, "process: toJson is out of order: the order is value|toJson|toBase64|toSecret"},
		{Config{Path: "x", Process: []string{"toJson", "toJson"}}, "process: toJson is out of order"},
		{Config{Path: "x", Process: []string{"value"}}, "nothing follows"},
		{Config{Path: "x", Process: []string{"value", "toJson", "toSecret"}}, "put toBase64 before it"},
		{Config{Path: "x", Process: []string{"toBase64", "toSecret"}}, "put value before toBase64"},
		{Config{Path: "x", Strategy: "merge", Process: []string{"toBase64"}}, "base64 cannot be merged"},
	})
}

func TestCheckProcessedData(t *testing.T) {
	testRefused(t, []refusedCase{
		{Config{Path: "x", Data: "a: [", Process: []string{"toJson"}}, "data: line 1: no valid YAML: "},
		{Config{Path: "x", Data: "a: .inf", Process: []string{"toJson"}}, "data: line 1: json: unsupported value"},
		{Config{Path: "x", Data: "1: a\n\"1\": b", Process: []string{"toJson"}}, `data: line 2: key "1" is set twice`},
		{Config{Path: "x", Data: "[1]", Process: []string{"value", "toJson"}}, "data: it is a list, not a map"},
		{Config{Path: "x", Data: "a: [1]", Process: []string{"value", "toBase64"}}, "data: a: toBase64 takes text"},
		{Config{Path: "x", Data: "a: 1\n---\nb: 1", Process: []string{"value", "toJson"}}, "data: line 2: a second document"},
		{Config{Path: "x", Data: "a: secret-word!", Process: []string{"toSecret"}}, "data: a: not base64, which toSecret takes: write process: value|toBase64|toSecret"},
		{Config{Path: "x", Data: "a/b: eA==", Process: []string{"toSecret"}}, `data: "a/b" cannot be a key of a Secret`},
		{Config{Path: "x", Data: "a: {b: eA==}", Process: []string{"toSecret"}}, "write process: value|toJson|toBase64|toSecret"},
		{Config{Name: "My Secret", Path: "x", Data: "a: eA==", Process: []string{"toSecret"}}, `"My Secret" cannot name one`},
	})
}

func TestCheckMergedData(t *testing.T) {
	testRefused(t, []refusedCase{
		{Config{Path: "x.json", Strategy: "merge", Data: "a: .nan"}, "data: line 1: json: unsupported value"},
		{Config{Path: "x", Strategy: "merge"}, "data: there is nothing to merge"},
		{Config{Path: "x", Strategy: "merge", Data: "- a\n"}, "data: line 1: a list, where a map is merged"},
		{Config{Path: "x", Strategy: "merge", Data: "just text"}, "data: line 1: a single value (str), where a map is merged"},
		{Config{Path: "x", Strategy: "merge", Data: "a: 1\n---\nb: 2\n"}, "data: line 1: one of several documents, which need kind and metadata.name"},
		{Config{Path: "x", Strategy: "merge", Data: "kind: A\nmetadata: {name: x}\n---\nkind: A\nmetadata: {name: x}\n"}, "data: line 3: a second document for A x, the first is in line 1"},
		{Config{Path: "x", Strategy: "merge", Data: "b: 1\n---\na:\n  b: 1\n  c: 1\n  b: 2\n"}, `data: line 6: key "b" is set twice`},
		{Config{Path: "x", Strategy: "merge", Data: "[a]: 1\n"}, "data: line 1: a key that is a map or a list"},
		{Config{Path: "x", Strategy: "merge", Data: "a: 1\n---\na: *x\n"}, "data: line 3: no valid YAML: YAML reads a value that begins with * as an alias"},
		{Config{Path: "x", Strategy: "merge", Data: "<<: 1\n"}, "data: line 1: << takes maps"},
	})
}

func TestCheckLimits(t *testing.T) {
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for _, name := range "bcdefg" {
		bomb += strings.NewReplacer("N", string(name), "P", string(name-1)).Replace("N: &N [*P,*P,*P,*P,*P,*P,*P,*P,*P,*P]\n")
	}
	testRefused(t, []refusedCase{
		{Config{Path: "x", Strategy: "merge", Data: bomb}, "data: more than 500000 values"},
		{Config{Path: "x", Strategy: "merge", Data: "a: &a\n  b: *a\n"}, "data: line 2: nested more than 500 deep"},
		{Config{Path: "x", Strategy: "merge", Data: "a: " + deep}, "nested more than 500 deep"},
		{Config{Path: "x", Strategy: "merge", Data: strings.Repeat("- ", 1<<19)}, "data: more than 500000 values"},
		{Config{Path: "x", Strategy: "merge", Data: strings.Repeat("---\na: 1\n", 1001)}, "data: more than 1000 documents"},
		{Config{Path: "x", Data: strings.Repeat("x", MaxSize+1)}, "data: more than 16 MiB"},
	})
}

func TestApplyRefusals(t *testing.T) {
	for _, test := range []struct {
		path, data, process, old, says string
	}{
		{"x.yaml", "a: 1", "", "- a\n", "it is a list, not a map that can be merged into: use the strategy overwrite"},
		{"x.yaml", "a: 1", "", "a: 1\n---\ntext\n", "document 2 (line 2) is a single value (str), not a map"},
		{"x.yaml", "a: 1", "", "a: 1\na: 2\n", `line 2: key "a" is set twice`},
		{"x.yaml.tmpl", "a: 1", "", "a: 1\n{{ if .b }}\nb: 1\n{{ end }}\n", "what cannot be merged into can be overwritten"},
		{"x.json", "a: 1", "", "{\n\"a\": 1,\n}\n", "line 3: invalid character"},
		{"x.json", "a: 1", "", `{"a": 1, "a": 2}`, `key "a" is set twice`},
		{"x.json", "a: 1", "", "[]", "it is a list, not a map"},
		{"x.yaml", "kind: A\nmetadata: {name: z}", "", "kind: A\nmetadata: {name: x}\n---\nkind: B\nmetadata: {name: y, namespace: n}\n", "data is for A z, which is not there; there are: A x (line 1), B n/y (line 3)"},
		{"x.yaml", "kind: A\nmetadata: {name: z}\n---\nkind: B\nmetadata: {name: z}", "", "a: 1\n", "data is for A z, which is not there; there are: a document without kind (line 1)"},
		{"x.yaml", "a: eA==", "toSecret", "kind: ConfigMap\n", "there is none in it"},
		{"x.yaml", "a: eA==", "toSecret", "kind: Secret\nmetadata: {name: y}\n---\nkind: Secret\nmetadata: {name: z}\n", "2 Secrets in it: name the Config as the one that is meant: Secret y (line 1), Secret z (line 3)"},
		{"x.yaml", "a: 1", "", strings.Repeat("x", MaxSize+1), "more than 16 MiB"},
		{"x.yaml", "a: " + strings.Repeat("x", MaxSize/2), "", "b: " + strings.Repeat("x", MaxSize/2) + "\n", "more than 16 MiB"},
		{"x.yaml", "a: 1", "", "b: 1\n---\nc: 1\n", "data fits 2 documents: write kind and metadata.name of the one that is meant into it"},
		{"x.yaml", "kind: A", "", "kind: A\nmetadata: {name: x}\n---\nkind: A\nmetadata: {name: y}\n", "data fits 2 documents"},
		{"x.yaml", "kind: C", "", "kind: A\nmetadata: {name: x}\n---\nkind: B\nmetadata: {name: x}\n", "data is for C, which is not there; there are: A x (line 1), B x (line 3)"},
		{"x.yaml", "kind: B", "", "kind: A\n", "data is for B, which is not there; there are: A (line 1)"},
		{"x.yaml", "kind: A\nmetadata: {name: y}", "", "kind: A\nmetadata: {name: x}\n", "data is for A y, which is not there; there are: A x (line 1)"},
		{"x.yaml", "apiVersion: v2\nspec: 1", "", "apiVersion: v1\nkind: A\n", "(v2), which is not there; there are: A (v1, line 1)"},
		{"x.yaml", "apiVersion: v2\nkind: A", "", "apiVersion: v1\nkind: A\n", "data is for A (v2), which is not there"},
		{"x.yaml", "kind: A\nmetadata: {namespace: m, name: x}", "", "kind: A\nmetadata: {namespace: n, name: x}\n", "data is for A m/x, which is not there; there are: A n/x (line 1)"},
		{"x.yaml", "kind: A", "", "a: 1\n---\nkind: B\n", "data is for A, which is not there; there are: a document without kind (line 1), B (line 2)"},
		{"x.json", "kind: B", "", `{"kind": "A"}`, "data is for B, which is not there"},
	} {
		c := Config{Name: "x", Path: test.path, Data: test.data, Strategy: "merge", Where: "Clusterfile:12"}
		if test.process != "" {
			c.Process = []string{test.process}
		}
		result, err := c.Apply([]byte(test.old))
		if err == nil {
			t.Errorf("%s: accepted: %.1000s", test.says, result)
			continue
		}
		if begin := `Clusterfile:12: Config "x": ` + test.path + ": "; !strings.HasPrefix(err.Error(), begin) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v, want %q", err, test.says)
		}
	}
}

// FuzzMerge merges into files of one document, and compares with a merge of plain values.
func FuzzMerge(f *testing.F) {
	for _, seed := range [][2]string{
		{"a: 1 # one\nb: {c: [1, 2]}\n", "b: {c: 3}\nd: |\n  text\n"},
		{"# top\nx: &x {a: 1}\ny:\n  <<: *x\n", "y: {a: 2}\n"},
		{"a:\n- 1\n- b: 2 # two\n# end\n", "a: []\n# more\nc: {}\n"},
		{"{\"a\": \"b\"}", "a: null\n"},
		{"kind: A\nmetadata: {name: x}\n---\nkind: B\nmetadata:\n  name: y\n", "kind: A\nmetadata: {name: x, labels: {a: b}}\n---\nkind: B\nmetadata: {name: y}\n"},
		{"b: {9: [1, 2]}\n", "b: {c: 3}\n"},
		{"a: >-\n  folded\n\n  text\n'b': \"c\\n\"\n", "a: ~\nb: yes\n"},
	} {
		f.Add(seed[0], seed[1], false)
		f.Add(seed[0], seed[1], true)
	}
	f.Fuzz(func(t *testing.T, old, data string, inJSON bool) {
		c := Config{Name: "fuzz", Path: "x.yaml", Data: data, Strategy: "merge"}
		if inJSON {
			c.Path = "x.json"
		}
		result, err := c.Apply([]byte(old))
		if err != nil {
			return
		}
		again, err := c.Apply(result)
		if err != nil || string(again) != string(result) {
			t.Fatalf("applied again: %v\n%q\ninstead of\n%q", err, again, result)
		}
		if inJSON && !json.Valid([]byte(data)) || strings.Contains(old+data, "\n---") || strings.Contains(old+data, "\n...") {
			return
		}
		var base, over, got any
		if yaml.Unmarshal([]byte(old), &base) != nil || yaml.Unmarshal([]byte(data), &over) != nil {
			return // JSON that is no YAML, numbers that do not fit
		}
		if err := yaml.Unmarshal(result, &got); err != nil {
			t.Fatalf("%v in\n%s", err, result)
		}
		// Keys that are no strings may be the same in two spellings, and no two NaN are equal.
		if text := fmt.Sprintf("%#v", []any{base, over}); strings.Contains(text, "interface {}]") || strings.Contains(text, "NaN") {
			return
		}
		want := mergeValues(base, over)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v, want %#v in\n%s", got, want, result)
		}
	})
}

func mergeValues(base, over any) any {
	above, ok := over.(map[string]any)
	below, is := base.(map[string]any)
	if !ok || !is {
		return over
	}
	for key, value := range above {
		if old, there := below[key]; there {
			value = mergeValues(old, value)
		}
		below[key] = value
	}
	return below
}
