// Command tools compiles the programs that the lab and the example images need: BuildKit and registry clients, Kubernetes,
// etcd, CoreDNS, the container runtime, CNI plugins. Every version is pinned by a go.mod below this directory, and every
// source comes through the Go module proxy or from the machine's Debian sources.
//
// Results live in a cache outside the clone, keyed by everything that determines them, and are linked into one directory.
//
//	tools -out DIR [NAME...]
//
// A NAME is a tool of the table in table.go or one of its binaries; without names all of them are made.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	out := flag.String("out", "", "directory that receives a link to every binary (required)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *out, flag.Args())
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted; run the same command again to resume")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tools:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string, names []string) error {
	if out == "" {
		return errors.New("-out is missing: name the directory for the binaries")
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	all, err := tools(".")
	if err != nil {
		return err
	}
	chosen, err := choose(all, names)
	if err != nil {
		return err
	}
	return install(ctx, cache, out, chosen, &progress{out: os.Stdout, terminal: isTerminal(os.Stdout), total: len(chosen)})
}

// install makes the tools that the cache lacks, and links the binaries of all of them into the directory out.
func install(ctx context.Context, cache, out string, chosen []tool, report *progress) error {
	isCached := func(t tool) bool { return complete(t.directory(cache), t.binaries) }
	missing := slices.DeleteFunc(slices.Clone(chosen), isCached)
	report.cached(len(chosen) - len(missing))
	defer fetchAhead(ctx, missing)()
	for _, t := range chosen {
		if !isCached(t) {
			step := report.start(t)
			_, _, err := ensure(ctx, cache, t, step.note)
			step.finish(ctx, err)
			if err != nil {
				return fmt.Errorf("making %s %s: %w", t.name, t.version, err)
			}
		}
		if err := link(out, t.directory(cache), t.binaries); err != nil {
			return err
		}
	}
	return nil
}

// fetchAhead downloads what the tools need while the first ones are built, and returns a function that ends it. Errors are left to the
// builds, which download what is missing.
func fetchAhead(ctx context.Context, missing []tool) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i, t := range missing {
			if i > 0 && t.fetch != nil && ctx.Err() == nil {
				_ = t.fetch(ctx)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// choose returns the tools that names ask for, by their own name or by that of one of their binaries, in table order.
// No names mean all tools.
func choose(all []tool, names []string) ([]tool, error) {
	if len(names) == 0 {
		return all, nil
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(t tool) bool { return t.provides(name) }) {
			return nil, fmt.Errorf("no tool or binary is called %q; there are: %s", name, strings.Join(toolNames(all), " "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(t tool) bool {
		return !slices.ContainsFunc(names, t.provides)
	}), nil
}

func toolNames(all []tool) []string {
	var names []string
	for _, t := range all {
		names = append(names, t.name)
	}
	return names
}

// cacheDir is where finished tools are kept: $KUBEFILE_CACHE/tools, by default the user's cache directory.
func cacheDir() (string, error) {
	base := os.Getenv("KUBEFILE_CACHE")
	if base == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("finding the cache directory (KUBEFILE_CACHE sets it): %w", err)
		}
		base = filepath.Join(user, "kubefile")
	}
	return filepath.Abs(filepath.Join(base, "tools"))
}
