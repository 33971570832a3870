package main

import (
	"strings"
	"testing"

	"github.com/kubefile/kubefile/cmd/commandline"
)

// TestArgumentsOfJoin: hosts and flags that do not fit together are named before a host is reached.
func TestArgumentsOfJoin(t *testing.T) {
	testUsage(t, map[string]string{
		"join":                                   "join needs the hosts that join: -n 192.168.0.11",
		"join --via 127.0.0.1":                   "join needs the hosts that join",
		"join -m 127.0.0.2":                      "join needs a master of the cluster: --via ADDRESS",
		"join -n 127.0.0.2 --via h1":             `--via "h1" is not an IP address`,
		"join -n 127.0.0.2 --via 127.0.0.2":      "127.0.0.2 joins; give --via the address of a master that is in the cluster already",
		"join -n 127.0.0.2 -m 127.0.0.2 -f x":    "127.0.0.2 is given with -m and with -n",
		"join -n 127.0.0.300 --via 127.0.0.1":    "--nodes: ",
		"join -n 127.0.0.2 --via 127.0.0.1 -f x": "leave out --via",
		"join -n 127.0.0.2 --user ops -f x":      "--user and a Clusterfile",
		"join -n 127.0.0.2 -f - -f -":            "-f - can be given only once",
		"join -n 127.0.0.2 -f x --cmd y":         "unknown flag --cmd for join",
	})
}

// TestArgumentsOfPrune: it needs a Clusterfile, and flags for drains need it.
func TestArgumentsOfPrune(t *testing.T) {
	testUsage(t, map[string]string{
		"apply --prune":                                      "apply needs a Clusterfile",
		"run a:v1 -m 127.0.0.1 --prune":                      "unknown flag --prune for run",
		"plan a:v1 -m 127.0.0.1 --prune":                     "--prune removes hosts that a Clusterfile does not list; give it with -f",
		"plan -f x --skip-drain":                             "--skip-drain is for hosts that leave; add --prune",
		"apply -f x --drain-timeout 1m":                      "--drain-timeout is for hosts that leave; add --prune",
		"apply -f x --drain-timeout 0s --prune":              "too short",
		"apply -f x --prune --skip-drain --drain-timeout 1m": "--skip-drain and --drain-timeout are mutually exclusive",
	})
}

// TestDrainTimeoutByVariable: it may be set for all commands, and is for hosts that leave only.
func TestDrainTimeoutByVariable(t *testing.T) {
	t.Setenv("SEALER_DRAIN_TIMEOUT", "3m")
	t.Chdir(t.TempDir())
	for _, line := range []string{"apply -f none", "delete --all -f none --yes", "delete --lost -n 127.0.0.2 -f none --yes", "delete -n 127.0.0.2 --skip-drain -f none --yes"} {
		if _, stderr, status := call(t, "", strings.Fields(line)...); status != commandline.Usage || !strings.Contains(stderr, "none does not exist") {
			t.Errorf("%s: got status %d, want %d, because the Clusterfile is missing:\n%s", line, status, commandline.Usage, stderr)
		}
	}
}
