package discovery

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// capabilitiesOf returns what charts are told of a cluster of a version: its number and its built-in APIs.
func capabilitiesOf(kubernetesVersion string) (*common.Capabilities, error) {
	capabilities := common.DefaultCapabilities.Copy()
	if kubernetesVersion != "" {
		version, err := common.ParseKubeVersion(kubernetesVersion)
		if err != nil {
			return nil, &OptionError{fmt.Errorf("kubernetes version %q: %w", kubernetesVersion, err)}
		}
		capabilities.KubeVersion = *version
	}
	capabilities.APIVersions = builtinAPIs(capabilities.KubeVersion)
	return capabilities, nil
}

// betaOff is the release since which new beta APIs are off by default (KEP-3136).
var betaOff = release{1, 24}

type release struct{ major, minor int }

func (r release) before(other release) bool {
	return r.major < other.major || r.major == other.major && r.minor < other.minor
}

// builtinAPIs are the APIs that a cluster of a version serves by default, as Helm names them: "apps/v1" and "apps/v1/Deployment". The
// types of the Kubernetes API themselves say in which releases they are served.
func builtinAPIs(version common.KubeVersion) common.VersionSet {
	var at release
	_, _ = fmt.Sscan(version.Major, &at.major) // both are numbers
	_, _ = fmt.Sscan(version.Minor, &at.minor)
	apis := map[string]bool{"apiregistration.k8s.io/v1": true, "apiregistration.k8s.io/v1/APIService": true}
	for kind, of := range scheme.Scheme.AllKnownTypes() {
		// Options, which are not resources, are registered in every version.
		if strings.HasPrefix(of.PkgPath(), "k8s.io/apimachinery/") || !served(kind, of, at) {
			continue
		}
		group := kind.GroupVersion().String()
		apis[group], apis[group+"/"+kind.Kind] = true, true
	}
	return slices.Sorted(maps.Keys(apis))
}

func served(kind schema.GroupVersionKind, of reflect.Type, at release) bool {
	if strings.Contains(kind.Version, "alpha") || kind.Version == "__internal" {
		return false
	}
	var introduced release
	object := reflect.New(of).Interface()
	if is, ok := object.(interface{ APILifecycleIntroduced() (int, int) }); ok {
		introduced.major, introduced.minor = is.APILifecycleIntroduced()
	}
	if is, ok := object.(interface{ APILifecycleRemoved() (int, int) }); ok {
		if major, minor := is.APILifecycleRemoved(); !at.before(release{major, minor}) {
			return false
		}
	}
	off := strings.Contains(kind.Version, "beta") && !introduced.before(betaOff)
	return !at.before(introduced) && !off
}

// clusterOf adds the custom resources that the files define to the capabilities, if a chart asks for any.
func (c *collector) clusterOf(files []string, charts []packedChart) *common.Capabilities {
	asked := slices.ContainsFunc(charts, func(packed packedChart) bool {
		return slices.ContainsFunc(packed.files, func(f *archive.BufferedFile) bool { return bytes.Contains(f.Data, []byte("APIVersions")) })
	})
	if !asked {
		return c.capabilities
	}
	capabilities := c.capabilities.Copy()
	capabilities.APIVersions = slices.Clone(capabilities.APIVersions)
	add := func(data []byte) { capabilities.APIVersions = append(capabilities.APIVersions, customAPIs(data)...) }
	for _, name := range files {
		if documentExt(name) == "" {
			continue
		}
		if data, err := fs.ReadFile(c.fsys, name); err == nil { // invalid documents are reported where they are read
			add(data)
		}
	}
	for _, packed := range charts {
		for _, f := range packed.files {
			add(f.Data)
		}
	}
	return capabilities
}

var (
	crdKind    = regexp.MustCompile(`(?m)^kind: *"?CustomResourceDefinition"?\s*$`)
	crdGroup   = regexp.MustCompile(`(?m)^ +group: *["']?([a-z0-9.-]+)["']?\s*$`)
	crdNames   = regexp.MustCompile(`(?m)^ +kind: *["']?(\w+)["']?\s*$`)
	crdVersion = regexp.MustCompile(`(?m)^ *(?:- )?(?: *)name: *["']?(v[0-9][a-z0-9]*)["']?\s*$`)
)

// customAPIs are the APIs that definitions of custom resources add. They are read by their lines: many are templates, which cannot be parsed
// before they are rendered, and all are large.
func customAPIs(data []byte) []string {
	if !crdKind.Match(data) {
		return nil
	}
	var apis []string
	for _, d := range split(data) {
		text := withoutSchemas(d.data)
		group, kind := crdGroup.FindSubmatch(text), crdNames.FindSubmatch(text)
		if group == nil || kind == nil || !crdKind.Match(text) {
			continue
		}
		for _, version := range crdVersion.FindAllSubmatch(text, -1) {
			api := string(group[1]) + "/" + string(version[1])
			apis = append(apis, api, api+"/"+string(kind[1]))
		}
	}
	return apis
}
