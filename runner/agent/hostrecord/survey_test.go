package hostrecord

import (
	"strings"
	"testing"
)

// The lines that a cluster has in a file of others are those that it wrote, whatever others put between its marks.
func TestSurveyLines(t *testing.T) {
	var listed Journal
	if err := listed.Parse([]byte(`{"version":2,"dir":"/d","entries":[{"path":"/etc/hosts","block":{"mark":"a","lines":["1 x","2 y"]}},
		{"path":"/etc/hosts","block":{"mark":"b","lines":["3 z"]}},{"path":"/etc/other","digest":"sha256:x"}]}`), "/d"); err != nil {
		t.Fatal(err)
	}
	s := NewSurvey("/d", &listed, nil)
	for _, tt := range []struct{ path, cluster, want string }{
		{"/etc/hosts", "a", "1 x,2 y"}, {"/etc/hosts", "b", "3 z"}, {"/etc/hosts", "c", ""}, {"/etc/other", "a", ""},
	} {
		if got := strings.Join(s.Lines(tt.path, tt.cluster), ","); got != tt.want {
			t.Errorf("%s of %s: got %q, want %q", tt.path, tt.cluster, got, tt.want)
		}
	}
}
