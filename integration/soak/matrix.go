package main

import (
	"fmt"
	"iter"
	"path/filepath"
	"time"
)

// Matrix is a set of cases that are independent of each other.
type Matrix struct {
	Name    string
	Loaded  bool // the machine computes something else at the same time
	Endless bool // there are as many cases as there is time for
	// Tests is the package whose tests the cases run as a compiled program, and Tags are its build tags; empty if there is none.
	Tests, Tags string
	// Cases returns the cases in the order in which they start. The same seed always gives the same cases.
	Cases func(s settings) iter.Seq[Case]
	// After is a command that stops what the cases leave running; empty if there is nothing.
	After []string
}

// settings are what a user wants of a matrix.
type settings struct {
	Seed     uint64
	Time     time.Duration
	Binaries string // the directory of compiled test programs
	Targets  []fuzzTarget
}

// Case is one command: it passes if its exit status is 0.
type Case struct {
	Name    string
	Seed    uint64   // 0: none
	Dir     string   // below the repository
	Command []string // a name without a slash is looked up in PATH
	Env     []string // in addition to the environment of the process
}

// fuzzTarget is a fuzz test of a package, which is compiled for searching.
type fuzzTarget struct{ Binary, Package, Name string }

// matrices returns all matrices.
func matrices() []Matrix {
	return []Matrix{
		{Name: "copy", Endless: true, Tests: "./integration/build", Tags: "lab", Cases: copyCases},
		{Name: "base-layers", Tests: "./integration/build", Tags: "lab", Cases: baseLayersCases},
		{Name: "undo", Endless: true, Tests: "./runner/agent/journal", Cases: undoCases},
		{Name: "repeats", Loaded: true, Endless: true, Cases: repeatsCases},
		{Name: "fuzz", Cases: fuzzCases},
		{Name: "kill", Tests: "./integration/e2e", Tags: "e2e", Cases: killCases, After: []string{"integration/hosts/hosts.sh", "down"}},
		{Name: "clusters", Tests: "./integration/e2e", Tags: "e2e", Cases: clustersCases, After: []string{"integration/hosts/hosts.sh", "down"}},
		{Name: "hosts", Cases: hostsCases},
	}
}

// copyCases build random COPY, ADD and WORKDIR lines on random bases with our frontend and with Docker's.
func copyCases(s settings) iter.Seq[Case] {
	return seeded(s.Seed, 1, func(seed uint64) Case {
		return test(s, "integration/build", "^TestCopyIsDockers$", "-bases=1", fmt.Sprintf("-seed=%d", seed))
	})
}

// undoSeeds is how many seeds a run of the test of undoCases takes.
const undoSeeds = 60

// undoCases undo what an installation did to files that an administrator edits at random.
func undoCases(s settings) iter.Seq[Case] {
	return seeded(s.Seed, undoSeeds, func(seed uint64) Case {
		return test(s, "runner/agent/journal", "^TestEditsOfAnAdministratorStay$", fmt.Sprintf("-seed=%d", seed))
	})
}

// seeded returns the cases of a seed and of every step-th that follows.
func seeded(first, step uint64, build func(seed uint64) Case) iter.Seq[Case] {
	return func(yield func(Case) bool) {
		for seed := first; ; seed += step {
			c := build(seed)
			c.Name, c.Seed = fmt.Sprintf("seed %d", seed), seed
			if !yield(c) {
				return
			}
		}
	}
}

// baseLayersCases derive images from bases, with each output, BuildKit and order of compressions.
func baseLayersCases(s settings) iter.Seq[Case] {
	return func(yield func(Case) bool) {
		for _, builder := range []string{"buildkitd", "buildkitd-v0.17", "buildkitd-v0.11"} {
			for _, output := range []string{"image", "archive", "directory"} {
				for _, first := range []string{"gzip", "zstd"} {
					row := builder + "," + output + "," + first
					c := test(s, "integration/build", "^TestADerivedImageHasTheLayersOfItsBase$", "-baselayers="+row)
					c.Name = row
					if !yield(c) {
						return
					}
				}
			}
		}
	}
}

// repeatsCases run the unit tests of concurrent packages repeatedly with the race detector: the packages of the Makefile's race target.
func repeatsCases(settings) iter.Seq[Case] {
	return func(yield func(Case) bool) {
		for round := 1; ; round++ {
			for _, pattern := range []string{"./registryproxy/...", "./runner/agent/...", "./runner/balancer/...", "./runner/execute/...", "./runner/phase/...", "./runner/registry/...", "./runner/report/..."} {
				c := Case{
					Name:    fmt.Sprintf("%s, round %d", pattern, round),
					Command: []string{"go", "test", "-race", "-count=1", "-cpu=1,2", "-timeout=30m", pattern},
					Env:     []string{"CGO_ENABLED=1"},
				}
				if !yield(c) {
					return
				}
			}
		}
	}
}

const (
	fuzzScript = "integration/repository/fuzz.sh"
	// shortestSearch is how long a fuzz target runs at least.
	shortestSearch = 10 * time.Second
)

// fuzzCases share the time among all fuzz targets.
func fuzzCases(s settings) iter.Seq[Case] {
	return func(yield func(Case) bool) {
		for _, target := range s.Targets {
			each := max(s.Time/time.Duration(len(s.Targets)), shortestSearch)
			c := Case{
				Name:    target.Package + " " + target.Name,
				Command: []string{fuzzScript, "one", target.Binary, target.Package, target.Name, fmt.Sprint(int(each.Seconds()))},
			}
			if !yield(c) {
				return
			}
		}
	}
}

// test is a case that runs a test of a package.
func test(s settings, pkg, pattern string, args ...string) Case {
	program := filepath.Join(s.Binaries, filepath.Base(pkg)+".test")
	return Case{Dir: pkg, Command: append([]string{program, "-test.run=" + pattern, "-test.timeout=30m"}, args...)}
}
