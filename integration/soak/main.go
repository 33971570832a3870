// Command soak runs long matrices of cases, and reports what failed in Markdown and JSON:
//
//	go run ./integration/soak -time 10m -matrix copy -seed 17
//
// See README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	each := flag.Duration("time", 10*time.Minute, "how long each matrix runs")
	names := flag.String("matrix", "", "the matrices to run, separated by commas; empty: all")
	seed := flag.Uint64("seed", 0, "the seed to begin with; 0: any")
	out := flag.String("out", "_out/soak", "the directory of the report")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	chosen, err := choose(*names)
	if err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	set := settings{Seed: *seed, Time: *each, Binaries: filepath.Join(root, "_out", "soak", "bin")}
	if set.Seed == 0 {
		set.Seed = uint64(time.Now().Unix())
	}
	if err := compile(ctx, &set, chosen); err != nil {
		return err
	}
	s := &soak{root: root, out: *out, w: os.Stdout, report: describe(ctx)}
	for _, m := range chosen {
		if err := s.run(ctx, m, set); err != nil {
			return fmt.Errorf("%w; the report is in %s", err, *out)
		}
	}
	fmt.Printf("the report is in %s\n", filepath.Join(*out, "report.md"))
	if failures := s.report.Failures(); len(failures) > 0 {
		return fmt.Errorf("cases of %d matrices failed", len(failures))
	}
	return nil
}

// choose finds matrices by their names.
func choose(names string) ([]Matrix, error) {
	if names == "" {
		return matrices(), nil
	}
	var chosen []Matrix
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(matrices(), func(m Matrix) bool { return m.Name == name })
		if i < 0 {
			var all []string
			for _, m := range matrices() {
				all = append(all, m.Name)
			}
			return nil, fmt.Errorf("unknown matrix %q: use %s", name, strings.Join(all, ", "))
		}
		chosen = append(chosen, matrices()[i])
	}
	return chosen, nil
}

// compile builds the test programs that the matrices run, and the fuzz targets.
func compile(ctx context.Context, set *settings, chosen []Matrix) error {
	fuzzed := filepath.Join(set.Binaries, "fuzz")
	if err := os.MkdirAll(fuzzed, 0o755); err != nil {
		return err
	}
	compiled := map[string]bool{"": true}
	for _, m := range chosen {
		if compiled[m.Tests] {
			continue
		}
		compiled[m.Tests] = true
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-tags", m.Tags, "-o", set.Binaries+"/", m.Tests)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("compiling the tests of %s: %w", m.Tests, err)
		}
	}
	if !slices.ContainsFunc(chosen, func(m Matrix) bool { return m.Name == "fuzz" }) {
		return nil
	}
	cmd := exec.CommandContext(ctx, fuzzScript, "compile", fuzzed)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("compiling fuzz targets: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		var target fuzzTarget
		if _, err := fmt.Sscan(line, &target.Binary, &target.Package, &target.Name); err != nil {
			return fmt.Errorf("listing fuzz targets: %q: %w", line, err)
		}
		set.Targets = append(set.Targets, target)
	}
	return nil
}

// describe is a report of nothing yet, with the versions of what is tested.
func describe(ctx context.Context) *Report {
	r := &Report{
		Commit:     output(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12"),
		BuildKit:   output(ctx, "_out/bin/buildkitd", "--version"),
		Kernel:     "unknown",
		Go:         runtime.Version(),
		Processors: runtime.NumCPU(),
		Started:    time.Now(),
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err == nil {
		r.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	return r
}

// output is what a command prints, or that it is not known.
func output(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
