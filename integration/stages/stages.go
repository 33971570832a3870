package main

import "time"

// A stage is one command of the test run.
type stage struct {
	name    string
	command []string
	after   []string // stages that have to pass before
	holds   []string // what it occupies while it runs; see capacity
	limit   time.Duration
	nice    bool // yields the processor to stages that spend their time waiting
	last    bool // runs when all others have ended, however they ended; only a second interrupt stops it
}

// capacity limits how many stages hold a resource at once; what is not listed is held by one.
//
// Stages that compute hold a cpu. End-to-end tests mostly wait for their hosts, hold none, and come before them.
var capacity = map[string]int{"cpu": 2}

// testRun lists the stages of make test in the order in which they start when nothing is in their way.
func testRun() []stage {
	const cpu = "cpu"
	return []stage{
		{name: "tools", command: append(target("tools"), "FOR=test"), limit: time.Hour},
		{name: "packages", command: target("packages"), limit: 10 * time.Minute},
		{name: "up", command: append(target("up", "tools"), "FOR=test"), after: []string{"tools", "packages"}, limit: 10 * time.Minute},
		{name: "e2e", command: target("e2e", "up", "packages"), after: []string{"up"}, holds: []string{"hosts"}, limit: time.Hour},
		{name: "hosts-test", command: target("hosts-test"), after: []string{"packages"}, holds: []string{cpu}, limit: 30 * time.Minute, nice: true},
		{name: "integration", command: target("integration", "up"), after: []string{"up"}, holds: []string{cpu}, limit: time.Hour, nice: true},
		{name: "release-test", command: target("release-test", "up"), after: []string{"up"}, holds: []string{cpu}, limit: 40 * time.Minute, nice: true},
		{name: "unit", command: target("unit"), holds: []string{cpu}, limit: 40 * time.Minute, nice: true},
		{name: "race", command: target("race"), after: []string{"packages"}, holds: []string{cpu}, limit: 40 * time.Minute, nice: true},
		{name: "sshd", command: target("sshd"), after: []string{"packages"}, holds: []string{cpu}, limit: 10 * time.Minute, nice: true},
		{name: "kubeadm", command: target("kubeadm", "tools"), after: []string{"tools"}, holds: []string{cpu}, limit: 10 * time.Minute, nice: true},
		{name: "lint", command: target("lint"), holds: []string{cpu}, limit: 40 * time.Minute, nice: true},
		{name: "fuzz", command: target("fuzz"), holds: []string{cpu}, limit: 30 * time.Minute, nice: true},
		{name: "tools-test", command: target("tools-test"), after: []string{"tools"}, holds: []string{cpu}, limit: 10 * time.Minute, nice: true},
		{name: "down", command: []string{"make", "--no-print-directory", "hosts-down", "down"}, limit: 5 * time.Minute, last: true},
	}
}

// target runs a target of the Makefile without the prerequisites that earlier stages have made.
func target(name string, made ...string) []string {
	command := []string{"make", "--no-print-directory"}
	for _, prerequisite := range made {
		command = append(command, "-o", prerequisite)
	}
	return append(command, name, "GOTEST=go test -json -vet=off -timeout 20m") // lint vets all; 10 minutes are short on a busy machine
}
