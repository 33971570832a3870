package runner

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// TestCheck looks at a host that the image does not fit. It writes no log, and leaves the host as it is.
func TestCheck(t *testing.T) {
	h := newTestHost(t)
	report, err := Check(t.Context(), []string{appLayout(t, "app"), clusterLayout(t, "kubernetes")}, fromForeign(), h.Site)
	if err != nil {
		t.Fatal(err)
	}
	address := h.server.Address.Addr().String()
	found := map[string]check.Finding{}
	for _, f := range report.Findings {
		found[f.Check] = f
	}
	if f := found["architecture"]; f.Host != address || f.Severity != check.Error || !strings.Contains(f.What, foreign()) || f.Page != check.Pages+"architecture.md" {
		t.Errorf("the finding of the architecture is %+v", f)
	}
	if report.Version != 1 || report.Cluster != "test" || len(report.Hosts) != 1 || report.Hosts[0] != (CheckedHost{address, "master"}) ||
		report.Errors == 0 || report.Errors+report.Warnings != len(report.Findings) || report.Err() == nil {
		t.Errorf("the report is %+v", report)
	}
	for _, path := range []string{h.dir, h.logs} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
	encoded, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{`"version":1`, `"cluster":"test"`, `"hosts":[{"address":"` + address + `","role":"master"}]`, `"check":"architecture"`, `"severity":"error"`, `"page":"https://`} {
		if !bytes.Contains(encoded, []byte(field)) {
			t.Errorf("the JSON has no %s: %s", field, encoded)
		}
	}
}

// TestCheckReadsTheImages: an image that a run refuses is an error, next to what is wrong with the hosts.
func TestCheckReadsTheImages(t *testing.T) {
	h := newTestHost(t)
	runner := sourcetest.Layer{Tar: sourcetest.Tar(t, sourcetest.Entry{Name: imagespec.RunnerPath, Content: "x", Mode: 0o755})}
	embedded := sourcetest.Embedded(t, map[string]string{"quay.io/a:1": "a"})
	lacking := slices.DeleteFunc(slices.Clone(embedded), func(e sourcetest.Entry) bool { return e.Content == "a" })
	cluster, app := filepath.Join(t.TempDir(), "kubernetes"), filepath.Join(t.TempDir(), "app")
	sourcetest.Layout(t, cluster, []string{foreign()}, runner, sourcetest.Layer{Images: true, Tar: sourcetest.Tar(t, lacking...)})
	sourcetest.AppLayout(t, app, []string{foreign()}, sourcetest.Layer{Tar: sourcetest.Tar(t, sourcetest.Entry{Name: "../out", Content: "x"})})
	report, err := Check(t.Context(), []string{app, cluster}, fromForeign(), h.Site)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	others := 0
	for _, f := range report.Findings {
		switch {
		case f.Check == "image-intact" && f.Severity == check.Error && f.Host == "":
			found = append(found, f.What)
		case f.Host != "":
			others++
		}
	}
	if len(found) != 2 || !strings.Contains(found[0], cluster) || !strings.Contains(found[0], "quay.io/a:1") || !strings.Contains(found[1], app) {
		t.Errorf("of the images it finds %q, want one error about each", found)
	}
	if others == 0 {
		t.Error("it finds nothing about the hosts")
	}
}

// TestCheckRefuses what has nothing to check hosts for, before it reaches one.
func TestCheckRefuses(t *testing.T) {
	h := newTestHost(t)
	_, err := Check(t.Context(), []string{appLayout(t, "app")}, fromForeign(), h.Site)
	wantError(t, err, "application image")
	site := h.Site
	file := *site.Clusterfile
	cluster := *file.Cluster
	cluster.AppNames = []string{"web"}
	file.Cluster = &cluster
	site.Clusterfile = &file
	_, err = Check(t.Context(), []string{clusterLayout(t, "kubernetes")}, fromForeign(), site)
	wantError(t, err, "no application web")
	_, err = Check(t.Context(), []string{"/nowhere.tar"}, fromForeign(), Site{Clusterfile: &clusterfile.Clusterfile{}})
	wantError(t, err, "nowhere.tar")
	if h.contacts != 0 {
		t.Error("it reached a host")
	}
}

func TestCheckReportAsText(t *testing.T) {
	report := &CheckReport{Hosts: make([]CheckedHost, 2), Errors: 1, Warnings: 2, Findings: []check.Finding{
		{Check: "even-masters", Severity: check.Warning, What: "2 masters", Fix: "use an odd number"},
		{Check: "swap", Severity: check.Error, Host: "10.0.0.1", What: "swap is on", Fix: "turn it off"},
		{Check: "cgroup-v1", Severity: check.Warning, Host: "10.0.0.1", What: "old"},
	}}
	var out bytes.Buffer
	if err := report.Print(&out); err != nil {
		t.Fatal(err)
	}
	want := `all hosts
  warning  even-masters  2 masters
                         fix: use an odd number
10.0.0.1
  error    swap       swap is on
                      fix: turn it off
  warning  cgroup-v1  old
2 hosts: 1 error, 2 warnings
each check has a page: ` + check.Pages + "\n"
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", &out, want)
	}
	if err := report.Err(); err == nil || err.Error() != "1 error: a run would stop here, before it changes a host" {
		t.Errorf("the error is %v", err)
	}
	out.Reset()
	good := &CheckReport{Hosts: make([]CheckedHost, 1)}
	if err := errors.Join(good.Print(&out), good.Err()); err != nil || out.String() != "1 host: 0 errors, 0 warnings\n" {
		t.Errorf("of a good host: %v, %s", err, &out)
	}
}
