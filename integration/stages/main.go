// Command stages runs the stages of make test side by side and reports what they took.
//
//	stages [NAME...]   all stages, or those named and what they come after
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(names []string) int {
	stages, err := selectStages(testRun(), names)
	if err == nil {
		err = validate(stages)
	}
	space := &disk{dir: "_out"}
	if err == nil && slices.ContainsFunc(stages, func(s stage) bool { return s.name == "up" }) {
		err = space.require(diskNeeded)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stages:", err)
		return 2
	}
	stop, kill := interrupts()
	lab := cmp.Or(os.Getenv("LAB_NAME"), "kf")
	meter := &meter{out: "_out", cgroups: "/sys/fs/cgroup/cpuacct", labs: []string{lab, lab + "2", lab + "3"}}
	r := &runner{
		stages: stages, capacity: capacity, dir: "_out/test", out: os.Stdout,
		every: time.Minute, grace: 20 * time.Second, kill: kill,
		tick: func() { meter.sample(); _ = space.sample() }, // a run without this figure is as good
	}
	meter.sample()
	began, before, tools := time.Now(), measure(), compiledTools()
	results, err := r.run(stop)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stages:", err)
		return 1
	}
	rep := newReport(results, time.Since(began), before, measure())
	rep.addDaemons(meter.total)
	rep.Machine.LeastDisk = space.least
	rep.setBudget(len(newTools(tools, compiledTools())) > 0)
	if err := errors.Join(rep.write(r.dir), rep.print(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "stages:", err)
		return 1
	}
	if stop.Err() != nil && !labIsDown(results) {
		command := "make hosts-down down"
		if name := os.Getenv("LAB_NAME"); name != "" {
			command = "LAB_NAME=" + name + " " + command
		}
		fmt.Println("interrupted; the lab may still be up; to stop it, run:", command)
	}
	return rep.exitStatus(stop.Err() != nil, os.Getenv("BUDGET") == "1")
}

// labIsDown reports whether the stages that run last have stopped the lab.
func labIsDown(results []result) bool {
	down := false
	for _, r := range results {
		down = down || r.stage.last && r.status == passed
	}
	return down
}

// interrupts returns a context that ends with the first interrupt, and one that ends with the second.
func interrupts() (stop, kill context.Context) {
	stop, cancel := context.WithCancel(context.Background())
	kill, cancelNow := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	// Stages are in process groups of their own: a signal that ended this process alone would leave them running.
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		<-signals
		fmt.Println("interrupted: stopping all stages, then the lab (interrupt again to kill them)")
		cancel()
		<-signals
		cancelNow()
	}()
	return stop, kill
}
