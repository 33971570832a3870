package agent

import (
	"bytes"
	"context"
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
)

// kubeconfig is what of a cluster is in a kubeconfig.
type kubeconfig struct {
	Server    string `json:"server"`
	Authority string `json:"authority,omitempty"` // certificate-authority-data, which is not secret
	// Cache says that the entry is the directory of kubectl's cache next to the kubeconfig, which was not there before.
	Cache bool `json:"cache,omitempty"`
}

// earlierServer is the API server in kubeconfigs of agents that did not note it.
const earlierServer = "https://apiserver.cluster.local:6443"

// earlierCacheMarker is in the cluster's directory when an earlier run found no kubectl cache.
const earlierCacheMarker = "kubectl-cache.ours"

// WriteKubeconfig is [Client.WriteFile] for a kubeconfig of the cluster, with mode 0600. When others have added clusters of their own to it
// by the time the cluster is removed, these stay; and so do their parts of kubectl's cache.
func (c Client) WriteKubeconfig(ctx context.Context, path string, content []byte) (bool, error) {
	var answer changed
	request := fileRequest{Dir: c.Dir, Path: path, Mode: 0o600, Kubeconfig: true}
	if err := c.call(ctx, c.agent(), verbWrite, request, bytes.NewReader(content), &answer); err != nil {
		return false, fmt.Errorf("writing %s: %w", path, err)
	}
	return answer.Changed, nil
}

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
		return fmt.Errorf("%s: %w: not a kubeconfig with clusters", path, ErrInvalid)
	}
	ours := kubeconfig{Server: config.Clusters[0].Cluster.Server, Authority: config.Clusters[0].Cluster.Authority}
	j.find(path).Kubeconfig = &ours
	cache := filepath.Join(filepath.Dir(path), "cache")
	if _, err := os.Lstat(cache); errors.Is(err, fs.ErrNotExist) {
		j.add(entry{Path: cache, Kubeconfig: &kubeconfig{Server: ours.Server, Cache: true}})
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
			cache := entry{Path: filepath.Join(filepath.Dir(e.Path), "cache"), Kubeconfig: &kubeconfig{Server: earlierServer, Cache: true}}
			if j.find(cache.Path) == nil {
				j.Entries = slices.Insert(j.Entries, i+1, cache)
			}
			return
		}
	}
}

// isKubeconfig reports whether an entry is a kubeconfig.
func (j *journal) isKubeconfig(e entry) bool {
	return e.Kubeconfig != nil && !e.Kubeconfig.Cache || e.Kubeconfig == nil && !e.Dir && strings.HasSuffix(e.Path, "/.kube/config")
}

// undoKubeconfig takes the cluster out of a kubeconfig that others changed.
func (j *journal) undoKubeconfig(e entry, info fs.FileInfo) string {
	ours := kubeconfig{Server: earlierServer}
	if e.Kubeconfig != nil {
		ours = *e.Kubeconfig
	}
	content, _, err := readShared(e.Path)
	if err != nil {
		return err.Error()
	}
	rest, err := ours.prune([]byte(content))
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

// ours reports whether a cluster of a kubeconfig is this one.
func (k *kubeconfig) ours(server, authority string) bool {
	if k.Authority != "" {
		return authority == k.Authority
	}
	return server == k.Server
}

// prune returns a kubeconfig without the cluster, its contexts and the users that only these name; nil when nothing of others is left.
func (k *kubeconfig) prune(content []byte) ([]byte, error) {
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
		if k.ours(c.Cluster.Server, c.Cluster.Authority) {
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
func undoCache(e entry) string {
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
	others, readErr := readDir(root, "discovery")
	if err = errors.Join(err, readErr); err == nil && len(others) == 0 {
		err = errors.Join(root.RemoveAll("discovery"), root.RemoveAll("http"))
	}
	if err != nil {
		return err.Error()
	}
	return undoDir(e.Path)
}
