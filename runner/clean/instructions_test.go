package clean

import (
	"reflect"
	"testing"

	"github.com/kubefile/kubefile/runner/plugin"
)

// TestPluginsForRemoval checks that the place of a plugin in a Clusterfile changes nothing on the hosts.
func TestPluginsForRemoval(t *testing.T) {
	read := func(where string) []plugin.Plugin {
		return []plugin.Plugin{
			{Name: "a", Where: where, Actions: []plugin.Action{plugin.PreClean}, FromImage: false},
			{Name: "b", Where: "plugins/b.yaml:1 of the image", Actions: []plugin.Action{plugin.PostClean}, FromImage: true},
			{Name: "c", Where: where, Actions: []plugin.Action{plugin.PreInit}},
		}
	}
	before := forRemoval(read("/a/Clusterfile:7:1"))
	if after := forRemoval(read("/b/Clusterfile:9:1")); len(before) != 2 || !reflect.DeepEqual(after, before) {
		t.Fatalf("got %+v, want two as in %+v", after, before)
	}
	if got := before[1].Where; got != "plugins/b.yaml:1 of the image" {
		t.Errorf("the plugin of the image is read in %q", got)
	}
}
