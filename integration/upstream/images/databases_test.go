package images

import (
	"strings"
	"testing"
)

func TestAccountAddsAUser(t *testing.T) {
	entries := map[string]string{}
	for _, e := range account("mysql") {
		entries[e.Path] = string(e.Data)
	}
	for name, want := range map[string]string{"etc/passwd": "\nmysql:x:999:999::/:/bin/sh\n", "etc/group": "\nmysql:x:999:\n"} {
		if !strings.HasSuffix(entries[name], want) || !strings.HasPrefix(entries[name], "root:") {
			t.Errorf("%s is %q", name, entries[name])
		}
	}
}
