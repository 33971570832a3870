package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

// call is a command line of kubectl.
type call struct {
	words  []string
	output string // of -o
	raw    string
	patch  string
}

func parse(args []string) call {
	var c call
	valued := map[string]*string{"-o": &c.output, "--raw": &c.raw, "--patch": &c.patch}
	ignored := []string{"--kubeconfig", "--cache-dir", "--namespace", "-f", "--type", "--field-selector"}
	for i := 0; i < len(args); i++ {
		switch value := valued[args[i]]; {
		case value != nil:
			i++
			*value = args[i]
		case slices.Contains(ignored, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-"):
			c.words = append(c.words, args[i])
		}
	}
	return c
}

// plural is the directory of a kind.
func plural(kind string) string { return strings.TrimSuffix(kind, "s") + "s" }

// kubectl does what it can of what sealer-run asks of it, and fails for the rest.
func kubectl(args []string) error {
	c := parse(args)
	if c.raw != "" {
		_, err := fmt.Println("ok")
		return err
	}
	if len(c.words) == 0 {
		return errors.New("kubectl without a command")
	}
	verb, rest := c.words[0], c.words[1:]
	switch {
	case verb == "get" && len(rest) == 1:
		return c.list(plural(rest[0]))
	case verb == "get" && len(rest) == 2:
		return c.one(plural(rest[0]), rest[1])
	case verb == "create", verb == "replace":
		return locked(func() error { return c.put(verb) })
	case verb == "delete" && len(rest) == 2:
		if err := os.Remove(objectFile(plural(rest[0]), rest[1])); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	case verb == "patch" && len(rest) == 2:
		return locked(func() error { return c.change(plural(rest[0]), rest[1]) })
	}
	return fmt.Errorf("kubectl %s is not replaced", strings.Join(args, " "))
}

// list prints all objects of a kind.
func (c call) list(kind string) error {
	items := []any{}
	switch kind {
	case "daemonsets":
		items = append(items, daemonSet("kube-proxy", "/lib/modules"), daemonSet("network", "/opt/cni/bin"))
	case "pods":
		nodes, err := all("nodes")
		if err != nil {
			return err
		}
		for i, node := range nodes {
			name := node.(object)["metadata"].(map[string]any)["name"].(string)
			items = append(items, pod(name, "kube-proxy", "DaemonSet"), pod(name, "network", "DaemonSet"))
			if i < 2 {
				items = append(items, pod(name, "kube-dns", "ReplicaSet"))
			}
		}
	default:
		var err error
		if items, err = all(kind); err != nil {
			return err
		}
	}
	return c.print(object{"kind": "List", "items": items})
}

// all are the objects of a kind, by name.
func all(kind string) ([]any, error) {
	files, err := filepath.Glob(filepath.Join(world, kind, "*.json"))
	items := []any{}
	for _, file := range files {
		one, err := load(kind, strings.TrimSuffix(filepath.Base(file), ".json"))
		if err != nil {
			return nil, err
		}
		items = append(items, one)
	}
	return items, err
}

func daemonSet(name, dir string) any {
	volumes := []any{map[string]any{"hostPath": map[string]any{"path": dir}}}
	return map[string]any{"metadata": map[string]any{"namespace": "kube-system", "name": name},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"volumes": volumes}}}}
}

func pod(node, app, owner string) any {
	return map[string]any{
		"metadata": map[string]any{"namespace": "kube-system", "name": app + "-" + node, "labels": map[string]any{"k8s-app": app},
			"ownerReferences": []any{map[string]any{"kind": owner, "name": app}}},
		"spec":   map[string]any{"nodeName": node},
		"status": map[string]any{"phase": "Running", "podIP": "10.244.0.2", "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
	}
}

// one prints an object; nothing when it is not there.
func (c call) one(kind, name string) error {
	found, err := load(kind, name)
	if err != nil {
		return err
	}
	if found == nil && kind != "nodes" && c.output == "name" { // what kubeadm makes
		found = object{}
	}
	switch {
	case found == nil:
		return nil
	case c.output == "name":
		_, err = fmt.Println(strings.TrimSuffix(kind, "s") + "/" + name)
		return err
	}
	return c.print(found)
}

// print prints objects as kubectl does.
func (c call) print(what object) error {
	query, templated := strings.CutPrefix(c.output, "jsonpath=")
	if !templated {
		return json.NewEncoder(os.Stdout).Encode(what)
	}
	format := jsonpath.New("out").AllowMissingKeys(true)
	return errors.Join(format.Parse(query), format.Execute(os.Stdout, map[string]any(what)))
}

// put makes or replaces the object on the standard input.
func (c call) put(verb string) error {
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var next object
	if err := json.Unmarshal(data, &next); err != nil {
		return err
	}
	metadata := next["metadata"].(map[string]any)
	kind, name := plural(strings.ToLower(next["kind"].(string))), metadata["name"].(string)
	old, err := load(kind, name)
	switch {
	case err != nil:
		return err
	case verb == "create" && old != nil:
		return serverError{"AlreadyExists", kind, name}
	case verb == "replace" && (old == nil || old["metadata"].(map[string]any)["resourceVersion"] != metadata["resourceVersion"]):
		return serverError{"Conflict", kind, name}
	}
	if err := store(kind, name, next); err != nil {
		return err
	}
	return c.print(next)
}

// serverError is an answer of the API, in the words of kubectl, which clients read.
type serverError struct{ reason, kind, name string }

func (e serverError) Error() string {
	return fmt.Sprintf("Error from server (%s): %s %s", e.reason, e.kind, e.name)
}

// change merges a patch into an object.
func (c call) change(kind, name string) error {
	one, err := load(kind, name)
	if err != nil {
		return err
	}
	if one == nil {
		return serverError{"NotFound", kind, name}
	}
	var patch map[string]any
	if err := json.Unmarshal([]byte(c.patch), &patch); err != nil {
		return err
	}
	merge(one, patch)
	return store(kind, name, one)
}

// merge is a JSON merge patch (RFC 7386).
func merge(into, patch map[string]any) {
	for key, value := range patch {
		inner, isMap := value.(map[string]any)
		old, hadMap := into[key].(map[string]any)
		switch {
		case value == nil:
			delete(into, key)
		case isMap && hadMap:
			merge(old, inner)
		default:
			into[key] = value
		}
	}
}
