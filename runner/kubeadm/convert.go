package kubeadm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// argumentPaths are where the documents have arguments for programs: maps until v1beta3, lists of name and value from v1beta4 on
// (kubeadm API reference, "Arg").
var argumentPaths = map[string][][]string{
	kindCluster: {{"apiServer", "extraArgs"}, {"controllerManager", "extraArgs"}, {"scheduler", "extraArgs"}, {"etcd", "local", "extraArgs"}},
	kindInit:    {{"nodeRegistration", "kubeletExtraArgs"}},
	kindJoin:    {{"nodeRegistration", "kubeletExtraArgs"}},
}

// modern makes a document of an older version be of v1beta4. A timeout of the control plane moves to the documents of init and join.
func (d Documents) modern(kind string, document map[string]any, version string) error {
	if !strings.HasPrefix(version, group+"/") || version == v1beta4 {
		return nil
	}
	document["apiVersion"] = v1beta4
	for _, path := range argumentPaths[kind] {
		if err := toList(document, path); err != nil {
			return err
		}
	}
	switch kind {
	case kindCluster:
		delete(document, "useHyperKubeImage")
		if dns, ok := document["dns"].(map[string]any); ok {
			if kind := dns["type"]; kind != nil && kind != "CoreDNS" {
				return fmt.Errorf("dns.type %v: Kubernetes has had CoreDNS only since 1.21", kind)
			}
			delete(dns, "type")
		}
		if server, ok := document["apiServer"].(map[string]any); ok && server["timeoutForControlPlane"] != nil {
			timeout := server["timeoutForControlPlane"]
			delete(server, "timeoutForControlPlane")
			for _, kind := range []string{kindInit, kindJoin} {
				d[kind] = over(map[string]any{
					"apiVersion": v1beta4, "kind": kind, "timeouts": map[string]any{"controlPlaneComponentHealthCheck": timeout},
				}, d[kind])
			}
		}
	case kindJoin:
		if discovery, ok := document["discovery"].(map[string]any); ok && discovery["timeout"] != nil {
			child(document, "timeouts")["discovery"] = discovery["timeout"]
			delete(discovery, "timeout")
		}
	}
	return nil
}

// toList makes a list of a map of arguments.
func toList(document map[string]any, path []string) error {
	last := len(path) - 1
	parent, _ := at(document, path[:last]...).(map[string]any)
	if parent[path[last]] == nil {
		return nil
	}
	arguments, ok := parent[path[last]].(map[string]any)
	if !ok {
		return fmt.Errorf("%s: until v1beta3 it is a map of arguments and values", strings.Join(path, "."))
	}
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(arguments)) {
		list = append(list, map[string]any{"name": name, "value": fmt.Sprint(arguments[name])})
	}
	parent[path[last]] = list
	return nil
}

// versionFor is the version of documents that the kubeadm of a Kubernetes version takes.
func versionFor(kubernetes string) (string, error) {
	v, err := semver.NewVersion(kubernetes)
	if err != nil {
		return "", fmt.Errorf("Kubernetes version %q: %w", kubernetes, err)
	}
	switch {
	case v.Major() == 1 && v.Minor() < 22:
		return v1beta2, nil
	case v.Major() == 1 && v.Minor() < 31:
		return v1beta3, nil
	}
	return v1beta4, nil
}

// newFields are what v1beta3 does not know. Who asks for one has to be told that he does not get it.
var newFields = map[string][][]string{
	kindCluster: {
		{"apiServer", "extraEnvs"}, {"controllerManager", "extraEnvs"}, {"scheduler", "extraEnvs"}, {"etcd", "local", "extraEnvs"},
		{"dns", "disabled"}, {"proxy"}, {"certificateValidityPeriod"}, {"caCertificateValidityPeriod"}, {"encryptionAlgorithm"},
	},
	kindInit: {{"dryRun"}, {"nodeRegistration", "imagePullSerial"}},
	kindJoin: {{"dryRun"}, {"nodeRegistration", "imagePullSerial"}},
}

// as returns the documents in an older version of kubeadm's, or an error for what it cannot say.
func (d Documents) as(version string) (Documents, error) {
	if version == v1beta4 {
		return d, nil
	}
	older := d.Over(nil)
	var failed []error
	for kind, document := range older {
		for _, path := range newFields[kind] {
			if at(document, path...) != nil {
				failed = append(failed, fmt.Errorf("%s: %s: the kubeadm of this image knows %s, which has no such field", kind, strings.Join(path, "."), version))
			}
		}
		for _, path := range argumentPaths[kind] {
			failed = append(failed, toMap(kind, document, path))
		}
		if api, _ := document["apiVersion"].(string); strings.HasPrefix(api, group+"/") {
			document["apiVersion"] = version
		}
	}
	timeouts(older)
	return older, errors.Join(failed...)
}

// toMap makes a map of a list of arguments.
func toMap(kind string, document map[string]any, path []string) error {
	last := len(path) - 1
	parent, _ := at(document, path[:last]...).(map[string]any)
	list, ok := parent[path[last]].([]any)
	if !ok {
		return nil
	}
	arguments := map[string]any{}
	for _, item := range list {
		if _, twice := arguments[name(item)]; twice {
			return fmt.Errorf("%s: %s: the argument %s stands twice, which needs Kubernetes 1.31", kind, strings.Join(path, "."), name(item))
		}
		arguments[name(item)] = fmt.Sprint(at(item, "value"))
	}
	parent[path[last]] = arguments
	return nil
}

// timeouts moves those that older versions know to where they have them.
func timeouts(d Documents) {
	for _, kind := range []string{kindInit, kindJoin} {
		of, ok := d[kind]["timeouts"].(map[string]any)
		if !ok {
			continue
		}
		delete(d[kind], "timeouts")
		if value := of["controlPlaneComponentHealthCheck"]; value != nil && d[kindCluster] != nil {
			child(d[kindCluster], "apiServer")["timeoutForControlPlane"] = value
		}
		if value := of["discovery"]; value != nil && kind == kindJoin {
			child(d[kind], "discovery")["timeout"] = value
		}
	}
}
