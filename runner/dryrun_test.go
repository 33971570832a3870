package runner

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// TestProgressOfADryRun: whoever reads any part of it can tell it from that of a real run, and the other way round.
func TestProgressOfADryRun(t *testing.T) {
	for name, perform := range map[string]func(h *testHost, t *testing.T, opts Options) error{
		"run": func(h *testHost, t *testing.T, opts Options) error {
			_, err := Run(t.Context(), []string{clusterLayout(t, "kubernetes")}, fromForeign(), h.Site, opts, &bytes.Buffer{})
			return err
		},
		"application": func(h *testHost, t *testing.T, opts Options) error {
			_, err := Run(t.Context(), []string{appLayout(t, "app")}, fromForeign(), h.Site, opts, &bytes.Buffer{})
			return err
		},
		"delete": func(h *testHost, t *testing.T, opts Options) error {
			return Delete(t.Context(), h.Site, opts, &bytes.Buffer{})
		},
	} {
		for suffix, dryRun := range map[string]bool{"": false, "-dry": true} {
			t.Run(name+suffix, func(t *testing.T) {
				h := newTestHost(t)
				if err := perform(h, t, Options{DryRun: dryRun}); err == nil {
					t.Error("it succeeds on a host that it does not fit")
				}
				progress := h.progress.String()
				if said := strings.HasPrefix(progress, "dry run: no host is changed\n"); said != dryRun {
					t.Errorf("dry run %v: the first line says so: %v:\n%s", dryRun, said, progress)
				}
				headers := regexp.MustCompile(`(?m)^\[\d+/\d+\] .*$`).FindAllString(progress, -1)
				if len(headers) < 2 {
					t.Fatalf("%d phases began:\n%s", len(headers), progress)
				}
				for _, header := range headers {
					if said := strings.HasSuffix(header, " (dry run)"); said != dryRun {
						t.Errorf("dry run %v: the header of a phase says so: %v: %s", dryRun, said, header)
					}
				}
			})
		}
	}
}
