package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// lasting returns a tool whose build takes the given time.
func lasting(name string, takes time.Duration) tool {
	return tool{name: name, version: "v1", key: "k", binaries: []string{name}, build: func(ctx context.Context, dir string) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(takes):
			return os.WriteFile(filepath.Join(dir, name), nil, 0o755)
		}
	}}
}

func TestProgress(t *testing.T) {
	for name, test := range map[string]struct {
		terminal bool
		want     string
	}{
		"plain lines": {false, "tools: 1 of 3 are cached\n" +
			"2/3 long v1 … building\n2/3 long v1 … building 30s\n2/3 long v1 … building 1m0s\n2/3 long v1: done after 1m5s\n" +
			"3/3 short v1 … building\n3/3 short v1: done after 2s\n"},
		"terminal": {true, "tools: 1 of 3 are cached\n" +
			"2/3 long v1: done after 1m5s\n3/3 short v1: done after 2s\n"},
	} {
		t.Run(name, func(t *testing.T) {
			cache, out := t.TempDir(), t.TempDir()
			chosen := []tool{lasting("old", time.Second), lasting("long", 65*time.Second), lasting("short", 2*time.Second)}
			synctest.Test(t, func(t *testing.T) {
				if _, _, err := ensure(t.Context(), cache, chosen[0], ignore); err != nil {
					t.Fatal(err)
				}
				var output bytes.Buffer
				report := &progress{out: &output, terminal: test.terminal, total: len(chosen)}
				if err := install(t.Context(), cache, out, chosen, report); err != nil {
					t.Fatal(err)
				}
				if got := shown(output.String()); got != test.want {
					t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
				}
				if moves := strings.Count(output.String(), "\r"); test.terminal && moves < 65 {
					t.Errorf("the line was updated %d times in 67 seconds", moves)
				}
			})
			for _, tool := range chosen {
				if _, err := os.Stat(filepath.Join(out, tool.name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestProgressOfCachedTools(t *testing.T) {
	var output bytes.Buffer
	(&progress{out: &output, total: 3}).cached(3)
	if want := "tools: all 3 are cached\n"; output.String() != want {
		t.Errorf("got %q, want %q", output.String(), want)
	}
}

// TestInterruptLeavesNothing: the line ends, nothing unfinished is left, and the next run makes what is missing.
func TestInterruptLeavesNothing(t *testing.T) {
	cache, out := t.TempDir(), t.TempDir()
	chosen := []tool{lasting("first", time.Second), lasting("second", time.Minute)}
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithTimeout(t.Context(), 10*time.Second)
		defer interrupt()
		var output bytes.Buffer
		err := install(ctx, cache, out, chosen, &progress{out: &output, terminal: true, total: 2})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want the end of the context", err)
		}
		if got, want := shown(output.String()), "1/2 first v1: done after 1s\n2/2 second v1: interrupted after 9s\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		left, err := filepath.Glob(filepath.Join(cache, "*", ".unfinished-*"))
		if err != nil || len(left) != 0 {
			t.Errorf("left are %q, %v", left, err)
		}
		output.Reset()
		if err := install(t.Context(), cache, out, chosen, &progress{out: &output, total: 2}); err != nil {
			t.Fatal(err)
		}
		if want := "tools: 1 of 2 are cached\n"; !strings.HasPrefix(output.String(), want) {
			t.Errorf("got %q, want %q first", output.String(), want)
		}
	})
}

// shown returns what a terminal shows in the end: what comes after the last return to the start of each line.
func shown(output string) string {
	var text strings.Builder
	for line := range strings.Lines(output) {
		text.WriteString(strings.TrimPrefix(line[strings.LastIndex(line, "\r")+1:], "\033[K"))
	}
	return text.String()
}
