package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ticks is how many of /proc's units of processor time are a second, on every architecture that Go runs on.
const ticks = 100

// machine is the state of the machine at one moment.
type machine struct {
	Load float64       // the mean of the last minute
	busy time.Duration // CPU time of all processes of the machine since it started
}

func measure() machine {
	var m machine
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(data), " ")
		m.Load, _ = strconv.ParseFloat(first, 64)
	}
	if data, err := os.ReadFile("/proc/stat"); err == nil {
		line, _, _ := strings.Cut(string(data), "\n")
		m.busy = busyTime(line)
	}
	return m
}

// busyTime sums the first line of /proc/stat (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq.
func busyTime(line string) time.Duration {
	var sum time.Duration
	for i, field := range strings.Fields(line) {
		if i == 1 || i == 2 || i == 3 || i == 6 || i == 7 {
			sum += fromTicks(field)
		}
	}
	return sum
}

func fromTicks(field string) time.Duration {
	n, _ := strconv.ParseInt(field, 10, 64)
	return time.Duration(n) * time.Second / ticks
}

// meter sums the processor time of daemons that stages use and do not wait for: the services of the lab, and its hosts.
type meter struct {
	out     string   // the lab's output directory
	cgroups string   // where hosts are accounted for: cgroup v1's cpuacct
	labs    []string // their groups there

	latest map[string]time.Duration // by counter
	total  map[string]time.Duration // by "services" and "hosts"
}

// sample adds what every counter has counted since it was read last. What ends between two samples loses the time after the first.
func (m *meter) sample() {
	first := m.latest == nil
	if first {
		m.latest, m.total = map[string]time.Duration{}, map[string]time.Duration{}
	}
	for _, kind := range []string{"services", "hosts"} {
		counters := m.services()
		if kind == "hosts" {
			counters = m.hosts()
		}
		for name, now := range counters {
			before := m.latest[name]
			if now < before { // another one by the same name
				before = 0
			}
			if !first {
				m.total[kind] += now - before
			}
			m.latest[name] = now
		}
	}
}

// services returns the time of each service's process and of its children that have ended, as build steps do.
func (m *meter) services() map[string]time.Duration {
	counters := map[string]time.Duration{}
	records, _ := filepath.Glob(filepath.Join(m.out, "lab", "*.json")) // the pattern is valid
	for _, name := range records {
		var record struct{ PID int }
		data, err := os.ReadFile(name)
		if err != nil || json.Unmarshal(data, &record) != nil || record.PID <= 1 {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(record.PID), "stat"))
		if err == nil {
			counters[strconv.Itoa(record.PID)] = processTime(string(stat))
		}
	}
	return counters
}

// processTime sums utime, stime, cutime and cstime of /proc/PID/stat (proc_pid_stat(5)).
func processTime(stat string) time.Duration {
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:]) // the name before may have spaces
	const utime, cstime = 11, 14
	var sum time.Duration
	for i := utime; i <= cstime && i < len(fields); i++ {
		sum += fromTicks(fields[i])
	}
	return sum
}

// hosts returns the time of all processes on the hosts of each lab.
func (m *meter) hosts() map[string]time.Duration {
	counters := map[string]time.Duration{}
	for _, lab := range m.labs {
		data, err := os.ReadFile(filepath.Join(m.cgroups, lab, "cpuacct.usage"))
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil {
			counters[lab] = time.Duration(n)
		}
	}
	return counters
}

// compiledTools lists the tools that are in the cache.
func compiledTools() []string {
	cache := os.Getenv("KUBEFILE_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil
		}
		cache = filepath.Join(base, "kubefile")
	}
	names, _ := filepath.Glob(filepath.Join(cache, "tools", "*"))
	return names
}

// newTools returns the tools in after that are not in before.
func newTools(before, after []string) []string {
	return slices.DeleteFunc(slices.Clone(after), func(name string) bool { return slices.Contains(before, name) })
}
