package clusterfile

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the schema")

const schemaFile = "clusterfile.schema.json"

// TestSchema compares the schema with the types.
func TestSchema(t *testing.T) {
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode((&generator{comments: comments(t), definitions: object{}}).schema()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(Schema(), want.Bytes()) {
		t.Errorf("%s is not of these types: go test ./imagespec/clusterfile -update", schemaFile)
	}
}

type object = map[string]any

// generator makes a schema of types.
type generator struct {
	comments    map[string]string // of "Type" and "Type.Field"
	definitions object
}

// comments returns the doc comments of types.go.
func comments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "types.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	note := func(name string, doc *ast.CommentGroup) {
		found[name] = strings.Join(strings.Fields(doc.Text()), " ")
	}
	for _, declaration := range file.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		spec := general.Specs[0].(*ast.TypeSpec)
		note(spec.Name.Name, general.Doc)
		if structure, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					note(spec.Name.Name+"."+name.Name, field.Doc)
				}
			}
		}
	}
	return found
}

// schema returns the schema of one document, selected by its kind and, for a Cluster, by its fields.
func (g *generator) schema() object {
	kind := func(name string) object {
		return object{"required": []string{"kind"}, "properties": object{"kind": object{"const": name}}}
	}
	var old []object
	for _, field := range []string{"masters", "nodes", "network", "certSANS", "provider"} {
		old = append(old, object{"required": []string{field}})
	}
	isOld := object{"required": []string{"spec"}, "properties": object{"spec": object{"anyOf": old, "not": object{"required": []string{"hosts"}}}}}
	rules := []object{
		{"if": kind("Cluster"), "then": object{"if": isOld, "then": g.value(reflect.TypeFor[OldClusterDocument]()), "else": g.value(reflect.TypeFor[ClusterDocument]())}},
		{"if": kind("Config"), "then": g.value(reflect.TypeFor[ConfigDocument]())},
		{"if": kind("Plugin"), "then": g.value(reflect.TypeFor[PluginDocument]())},
		{"if": kind("Application"), "then": g.value(reflect.TypeFor[ApplicationDocument]())},
	}
	ours := object{"properties": object{"kind": object{"enum": Kinds()}}}
	rules = append(rules, object{"if": ours, "then": object{"required": []string{"apiVersion"}, "properties": object{"apiVersion": object{"enum": APIVersions()}}}})
	kubernetes := []string{"ClusterConfiguration", "InitConfiguration", "JoinConfiguration", "KubeletConfiguration", "KubeProxyConfiguration"}
	return object{
		"$schema":     "http://json-schema.org/draft-07/schema#",
		"title":       "Clusterfile",
		"description": "One document of a Clusterfile of sealer-run.",
		"type":        "object",
		"required":    []string{"kind"}, // documents for kubeadm may leave out apiVersion
		"properties": object{
			"apiVersion": object{"type": "string", "examples": []string{"sealer.io/v2", "kubeadm.k8s.io/v1beta4", "kubelet.config.k8s.io/v1beta1", "kubeproxy.config.k8s.io/v1alpha1"}},
			"kind":       object{"enum": append(Kinds(), kubernetes...)},
		},
		"allOf":       rules,
		"definitions": g.definitions,
	}
}

// value is the schema of a value of a type.
func (g *generator) value(t reflect.Type) object {
	scalar := object{"type": []string{"string", "number", "boolean", "null"}}
	pair := object{"type": "string", "pattern": "^[^=]+="}
	switch {
	case t == reflect.TypeFor[Ignored]():
		return object{}
	case t == reflect.TypeFor[Env]():
		value := object{"anyOf": []object{scalar, {"type": "array", "items": scalar}}}
		return object{"anyOf": []object{{"type": "object", "additionalProperties": value}, {"type": "array", "items": pair}, pair}}
	case t == reflect.TypeFor[Port]():
		return object{"type": []string{"integer", "string"}, "minimum": 1, "maximum": 65535, "pattern": "^[0-9]+$"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.value(t.Elem())
	case reflect.Struct:
		g.define(t)
		return object{"$ref": "#/definitions/" + t.Name()}
	case reflect.Slice:
		return object{"type": "array", "items": g.value(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": scalar}
	case reflect.Bool:
		return object{"type": "boolean"}
	}
	return object{"type": []string{"string", "number", "boolean"}}
}

func (g *generator) define(t reflect.Type) {
	if g.definitions[t.Name()] != nil {
		return
	}
	properties, required := object{}, []string{}
	definition := object{"type": "object", "description": g.comments[t.Name()], "additionalProperties": false, "properties": properties}
	g.definitions[t.Name()] = definition
	for field := range t.Fields() {
		name := fieldName(field)
		if name == "" {
			continue
		}
		of := g.value(field.Type)
		of["description"] = g.comments[t.Name()+"."+field.Name]
		if words := strings.Fields(field.Tag.Get("examples")); len(words) > 0 {
			of["examples"] = words
		}
		if field.Type == reflect.TypeFor[Ignored]() {
			of["deprecated"] = true
		}
		properties[name] = of
		for _, other := range strings.Fields(field.Tag.Get("also")) {
			properties[other] = object{"type": of["type"], "description": "Another name of " + name + ".", "deprecated": true}
		}
		if !strings.Contains(field.Tag.Get("yaml"), "omitempty") {
			required = append(required, name)
		}
	}
	if len(required) > 0 {
		definition["required"] = required
	}
}

// TestEveryFieldHasAComment, which is what an editor shows.
func TestEveryFieldHasAComment(t *testing.T) {
	said := comments(t)
	g := &generator{comments: said, definitions: object{}}
	g.schema()
	for name, definition := range g.definitions {
		if said[name] == "" {
			t.Errorf("%s has no comment", name)
		}
		for field, of := range definition.(object)["properties"].(object) {
			if of.(object)["description"] == "" && field != "apiVersion" && field != "kind" && field != "metadata" && field != "spec" {
				t.Errorf("%s.%s has no comment", name, field)
			}
		}
	}
}

// The schema takes what is read, in all testdata of the project, and not what has an unknown field.
func TestSchemaIsWhatIsRead(t *testing.T) {
	resource, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("https://example.com/clusterfile.json", resource); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("https://example.com/clusterfile.json")
	if err != nil {
		t.Fatal(err)
	}
	valid, refused := 0, 0
	for name, text := range testdata(t) {
		documents, err := Parse(name, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, d := range documents {
			valid++
			if err := compiled.Validate(value(t, d.Root)); err != nil {
				t.Errorf("%s: %v", d.At(d.Root), err)
			}
			refused += refuses(t, compiled, d)
		}
	}
	if valid < 40 || refused < 100 {
		t.Errorf("only %d documents and %d fields", valid, refused)
	}
}

// refuses puts an unknown field into each map that has known ones, and returns how many that are.
func refuses(t *testing.T, schema *jsonschema.Schema, d *Document) (count int) {
	t.Helper()
	kind, _, err := d.Kind()
	if err != nil || !slices.Contains(Kinds(), kind.Value) {
		return 0
	}
	var visit func(node *yaml.Node, free bool)
	visit = func(node *yaml.Node, free bool) {
		if node.Kind == yaml.MappingNode && !free {
			count++
			whole := node.Content
			node.Content = append(slices.Clone(whole), &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "unknwon"}, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "x"})
			if schema.Validate(value(t, d.Root)) == nil {
				t.Errorf("%s: an unknown field is taken", d.At(node))
			}
			node.Content = whole
		}
		for i, child := range node.Content {
			isFree := node.Kind == yaml.MappingNode && i%2 == 1 && slices.Contains([]string{"env", "labels", "status"}, node.Content[i-1].Value)
			visit(child, free || isFree)
		}
	}
	visit(d.Root, false)
	return count
}

// testdata are the Clusterfiles of the project that are right.
func testdata(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	runner := filepath.Join("..", "..", "runner", "clusterfile", "testdata")
	for _, pattern := range []string{"cases/*/Clusterfile", "cases/*/shell.yaml"} {
		names, err := filepath.Glob(filepath.Join(runner, pattern))
		if err != nil || names == nil {
			t.Fatalf("%v, %v", names, err)
		}
		for _, name := range names {
			all[name] = read(t, name)
		}
	}
	for i, entry := range strings.Split(read(t, filepath.Join(runner, "read.txt")), "=== ")[1:] {
		title, rest, _ := strings.Cut(entry, "\n")
		input, _, _ := strings.Cut(rest, "\n=>\n")
		all[fmt.Sprintf("read.txt %d %s", i, title)] = input + "\n"
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// value is a node as an editor gives it to a schema.
func value(t *testing.T, node *yaml.Node) any {
	t.Helper()
	switch node.Kind {
	case yaml.MappingNode:
		m := object{}
		for i := 0; i < len(node.Content); i += 2 {
			m[node.Content[i].Value] = value(t, node.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		l := []any{}
		for _, item := range node.Content {
			l = append(l, value(t, item))
		}
		return l
	}
	var v any
	if err := node.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if node.ShortTag() == "!!timestamp" {
		return node.Value
	}
	return v
}
