package kubeadm

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/kubefile/kubefile/runner/kubeadm/schema"
)

// versionFor returns the N of v1betaN that the kubeadm of a Kubernetes version takes and was made for.
func versionFor(kubernetes string) (int, error) {
	v, err := semver.NewVersion(kubernetes)
	if err != nil {
		return 0, fmt.Errorf("the version of Kubernetes %q: %w", kubernetes, err)
	}
	switch {
	case v.Major() == 1 && v.Minor() < 22:
		return 2, nil
	case v.Major() == 1 && v.Minor() < 31:
		return 3, nil
	}
	return newest, nil
}

// healthCheck is the timeout which is the API server's timeoutForControlPlane before v1beta4.
const healthCheck = "controlPlaneComponentHealthCheck"

// upgrade brings a document of kubeadm's, as its version has it, to v1beta4.
func (d Documents) upgrade(kind string) error {
	known, document := kubeadmFields(kind), d[kind]
	if known == nil || document == nil {
		return nil
	}
	err := schema.Visit(kind, document, known, func(path string, m map[string]any, key string, of schema.Field) (err error) {
		if of.Shape == schema.Arguments {
			m[key], err = argumentList(path, m[key])
		}
		return err
	})
	if err != nil {
		return err
	}
	switch kind {
	case ClusterKind:
		err = d.upgradeCluster(document)
	case JoinKind:
		if discovery, ok := document["discovery"].(map[string]any); ok {
			if timeout := take(discovery, "timeout"); timeout != nil {
				child(document, "timeouts")["discovery"] = timeout
			}
		}
	}
	d.set(kind, document)
	return err
}

func (d Documents) upgradeCluster(cluster map[string]any) error {
	if apiServer, ok := cluster["apiServer"].(map[string]any); ok {
		if timeout := take(apiServer, "timeoutForControlPlane"); timeout != nil {
			for _, kind := range []string{InitKind, JoinKind} {
				if timeouts := child(d.get(kind), "timeouts"); timeouts[healthCheck] == nil {
					timeouts[healthCheck] = timeout
				}
			}
		}
	}
	if dns, ok := cluster["dns"].(map[string]any); ok {
		if t := dns["type"]; t != nil && t != "" && t != "CoreDNS" {
			return fmt.Errorf("%s.dns.type: %v is no longer supported: write CoreDNS, or remove the field", ClusterKind, t)
		}
		delete(dns, "type")
	}
	if cluster["useHyperKubeImage"] == true {
		return fmt.Errorf("%s.useHyperKubeImage: no longer supported by kubeadm; remove this field", ClusterKind)
	}
	delete(cluster, "useHyperKubeImage")
	return nil
}

// argumentList returns arguments of either form as a list, those of a mapping by name.
func argumentList(path string, v any) (any, error) {
	if m, ok := v.(map[string]any); ok {
		l := make([]any, 0, len(m))
		for _, name := range slices.Sorted(maps.Keys(m)) {
			l = append(l, map[string]any{"name": name, "value": m[name]})
		}
		v = l
	}
	l, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: %s is wanted here", path, schema.Arguments)
	}
	for _, element := range l {
		if NameOf(element) == "" {
			return nil, fmt.Errorf("%s: an argument without name", path)
		}
		argument := element.(map[string]any)
		switch v := argument["value"].(type) {
		case nil:
			argument["value"] = ""
		case string:
		case map[string]any, []any:
			return nil, fmt.Errorf("%s: %s is not a string", path, NameOf(element))
		default: // by a merge key or an anchor from where it is no string
			argument["value"] = fmt.Sprint(v)
		}
	}
	return l, nil
}

// For returns the documents in the form that the kubeadm of a Kubernetes version takes.
func (d Documents) For(kubernetes string) (Documents, error) {
	n, err := versionFor(kubernetes)
	if err != nil {
		return nil, err
	}
	return d.downgraded(n)
}

// downgraded returns the documents in the form of v1betaN. What that has no place for is an error, unless it is what kubeadm does anyway.
func (d Documents) downgraded(n int) (Documents, error) {
	d = d.Over(nil)
	if n == newest {
		return d, nil
	}
	if timeouts, ok := d.at(InitKind, "timeouts").(map[string]any); ok {
		if timeout := take(timeouts, healthCheck); timeout != nil {
			child(d.get(ClusterKind), "apiServer")["timeoutForControlPlane"] = timeout
		}
	}
	if timeouts, ok := d.at(JoinKind, "timeouts").(map[string]any); ok {
		if timeout := take(timeouts, "discovery"); timeout != nil {
			child(d[JoinKind], "discovery")["timeout"] = timeout
		}
	}
	var problems []error
	for _, kind := range []string{ClusterKind, InitKind, JoinKind} {
		if d[kind] == nil {
			continue
		}
		problems = append(problems, schema.Visit(kind, d[kind], kubeadmFields(kind), func(path string, m map[string]any, key string, of schema.Field) error {
			if of.Shape == schema.Arguments {
				return argumentMap(path, m, key)
			}
			if n >= of.Since {
				return nil
			}
			v := m[key]
			delete(m, key)
			if droppable(v, of) {
				return nil
			}
			return fmt.Errorf("%s: the packed kubeadm takes %s, which has no such field: take it out", path, schema.APIVersion(n))
		}))
		d[kind]["apiVersion"] = schema.APIVersion(n)
	}
	return d, errors.Join(problems...)
}

// droppable reports whether kubeadm does the same without a value.
func droppable(v any, of schema.Field) bool {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if !droppable(value, of.Fields[key]) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	}
	if of.Standard != nil && v == of.Standard {
		return true
	}
	return v == nil || reflect.ValueOf(v).IsZero() && of.Standard != true
}

// argumentMap turns a list of arguments into a mapping.
func argumentMap(path string, m map[string]any, key string) error {
	l, _ := m[key].([]any)
	values := make(map[string]any, len(l))
	for _, element := range l {
		name := NameOf(element)
		if _, twice := values[name]; twice {
			return fmt.Errorf("%s: %s is there twice, which the packed kubeadm cannot take", path, name)
		}
		values[name] = element.(map[string]any)["value"]
	}
	m[key] = values
	return nil
}

// take returns the value of a field, nil if there is none, and takes the field out.
func take(m map[string]any, key string) any {
	v := m[key]
	delete(m, key)
	return v
}

// child returns the mapping in a field, made if it is not there.
func child(parent map[string]any, key string) map[string]any {
	if m, ok := parent[key].(map[string]any); ok {
		return m
	}
	m := map[string]any{}
	parent[key] = m
	return m
}
