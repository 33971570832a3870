package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// earlierServer is the API server in kubeconfigs of agents that did not note it.
const earlierServer = "https://apiserver.cluster.local:6443"

// earlierCacheMarker is in the cluster's directory when an earlier run found no kubectl cache.
const earlierCacheMarker = "kubectl-cache.ours"

// namedConfig is what has to be known of a kubeconfig (Kubernetes, clientcmd/api/v1).
type namedConfig struct {
	Clusters []struct {
		Name    string `yaml:"name"`
		Cluster struct {
			Server    string `yaml:"server"`
			Authority string `yaml:"certificate-authority-data"`
		} `yaml:"cluster"`
	} `yaml:"clusters"`
	Contexts []struct {
		Name    string `yaml:"name"`
		Context struct {
			Cluster string `yaml:"cluster"`
			User    string `yaml:"user"`
		} `yaml:"context"`
	} `yaml:"contexts"`
	Current string `yaml:"current-context"`
}

// prepareKubeconfig journals what the cluster has in the kubeconfig, and the cache that kubectl makes next to it.
func (j *journal) prepareKubeconfig(path string, content []byte) error {
	var config namedConfig
	if err := yaml.Unmarshal(content, &config); err != nil || len(config.Clusters) == 0 {
		return fmt.Errorf("%s: %w: not a kubeconfig with clusters", path, wire.ErrInvalid)
	}
	ours := hostrecord.Kubeconfig{Server: config.Clusters[0].Cluster.Server, Authority: config.Clusters[0].Cluster.Authority}
	j.Find(path).Kubeconfig = &ours
	cache := filepath.Join(filepath.Dir(path), "cache")
	if _, err := os.Lstat(cache); errors.Is(err, fs.ErrNotExist) {
		j.Add(hostrecord.Entry{Path: cache, Kubeconfig: &hostrecord.Kubeconfig{Server: ours.Server, Cache: true}})
	}
	return j.save()
}

// cacheOfEarlierAgent makes the marker of earlier runs an entry.
func (j *journal) cacheOfEarlierAgent() {
	if _, err := j.root.Stat(earlierCacheMarker); err != nil {
		return
	}
	for i, e := range j.Entries {
		if j.isKubeconfig(e) {
			cache := hostrecord.Entry{Path: filepath.Join(filepath.Dir(e.Path), "cache"), Kubeconfig: &hostrecord.Kubeconfig{Server: earlierServer, Cache: true}}
			if j.Find(cache.Path) == nil {
				j.Entries = slices.Insert(j.Entries, i+1, cache)
			}
			return
		}
	}
}

// isKubeconfig reports whether an entry is a kubeconfig.
func (j *journal) isKubeconfig(e hostrecord.Entry) bool {
	return e.Kubeconfig != nil && !e.Kubeconfig.Cache || e.Kubeconfig == nil && !e.Dir && strings.HasSuffix(e.Path, "/.kube/config")
}

// undoKubeconfig takes the cluster out of a kubeconfig that others changed.
func (j *journal) undoKubeconfig(e hostrecord.Entry, info fs.FileInfo) string {
	ours := hostrecord.Kubeconfig{Server: earlierServer}
	if e.Kubeconfig != nil {
		ours = *e.Kubeconfig
	}
	content, _, err := readShared(e.Path)
	if err != nil {
		return err.Error()
	}
	rest, err := prune(&ours, []byte(content))
	switch {
	case err != nil:
		return j.leave(e, "changed by others since, and not understood; take out by hand what does not belong")
	case rest == nil && e.Previous == nil:
		err = os.Remove(e.Path)
	case rest == nil:
		return j.restore(e, info)
	case string(rest) != content:
		err = putFile(e.Path, bytes.NewReader(rest), info.Mode(), -1, -1)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// isOurs reports whether a cluster of a kubeconfig is this one.
func isOurs(k *hostrecord.Kubeconfig, server, authority string) bool {
	if k.Authority != "" {
		return authority == k.Authority
	}
	return server == k.Server
}

// prune returns a kubeconfig without the cluster, its contexts and the users that only these name; nil when nothing of others is left.
func prune(k *hostrecord.Kubeconfig, content []byte) ([]byte, error) {
	var document yaml.Node
	var config namedConfig
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, err
	}
	if err := document.Decode(&config); err != nil {
		return nil, err
	}
	clusters, contexts, users, kept := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range config.Clusters {
		if isOurs(k, c.Cluster.Server, c.Cluster.Authority) {
			clusters[c.Name] = true
		}
	}
	for _, c := range config.Contexts {
		if clusters[c.Context.Cluster] {
			contexts[c.Name], users[c.Context.User] = true, true
		} else {
			kept[c.Context.User] = true
		}
	}
	for name := range kept {
		delete(users, name)
	}
	if len(clusters) == 0 {
		return content, nil
	}
	left := 0
	for key, gone := range map[string]map[string]bool{"clusters": clusters, "contexts": contexts, "users": users} {
		left += pruneList(&document, key, gone)
	}
	if left == 0 {
		return nil, nil
	}
	if current := valueOf(&document, "current-context"); current != nil && contexts[config.Current] {
		current.SetString("")
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := errors.Join(encoder.Encode(&document), encoder.Close())
	return out.Bytes(), err
}

// valueOf returns the value of a key of the document, or nil.
func valueOf(document *yaml.Node, key string) *yaml.Node {
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return nil
	}
	fields := document.Content[0].Content
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i].Value == key {
			return fields[i+1]
		}
	}
	return nil
}

// pruneList takes the named items out of a list, and returns how many are left.
func pruneList(document *yaml.Node, key string, gone map[string]bool) int {
	list := valueOf(document, key)
	if list == nil || list.Kind != yaml.SequenceNode {
		return 0
	}
	list.Content = slices.DeleteFunc(list.Content, func(item *yaml.Node) bool {
		var named struct {
			Name string `yaml:"name"`
		}
		return item.Decode(&named) == nil && gone[named.Name]
	})
	return len(list.Content)
}

// notInCacheName is what kubectl replaces in the name of a server's directory (cli-runtime, computeDiscoverCacheDir).
var notInCacheName = regexp.MustCompile(`[^(\w/.)]`)

// undoCache removes what kubectl cached of the cluster, and what it cached for all of its servers when there was no other.
func undoCache(e hostrecord.Entry) string {
	info, err := os.Lstat(e.Path)
	if err != nil || !info.IsDir() {
		return ""
	}
	server, err := url.Parse(e.Kubeconfig.Server)
	if err != nil || server.Host == "" || strings.Contains(server.Host, "/") {
		return ""
	}
	root, err := os.OpenRoot(e.Path)
	if err != nil {
		return err.Error()
	}
	defer root.Close()
	err = root.RemoveAll(filepath.Join("discovery", notInCacheName.ReplaceAllString(server.Host, "_")))
	others, readErr := clusterdir.ReadDir(root, "discovery")
	if err = errors.Join(err, readErr); err == nil && len(others) == 0 {
		err = errors.Join(root.RemoveAll("discovery"), root.RemoveAll("http"))
	}
	if err != nil {
		return err.Error()
	}
	return undoDir(e.Path)
}
