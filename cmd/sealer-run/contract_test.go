package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/cmd/commandline"
	"github.com/kubefile/kubefile/cmd/commandline/commandlinetest"
)

func TestEveryFlag(t *testing.T) { commandlinetest.Check(t, application) }

// testUsage checks that each command line is refused with the message, in a directory that has one named layout.
func testUsage(t *testing.T, messages map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.Mkdir("layout", 0o755); err != nil {
		t.Fatal(err)
	}
	for line, want := range messages {
		stdout, stderr, status := call(t, "", strings.Fields(line)...)
		if status != commandline.Usage || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: got status %d, want %d with %q in:\n%s%s", line, status, commandline.Usage, want, stdout, stderr)
		}
	}
}

// TestUnknownCommands: a word that cannot name an image is a command, wherever it stands.
func TestUnknownCommands(t *testing.T) {
	testUsage(t, map[string]string{
		"statsu":                       `unknown command "statsu"; did you mean "status"?`,
		"statsu -m 127.0.0.1":          `unknown command "statsu"; did you mean "status"?`,
		"-m 127.0.0.1 statsu":          `unknown command "statsu"; did you mean "status"?`,
		"-m 127.0.0.1 -- statsu":       `unknown command "statsu"; did you mean "status"?`,
		"statsu --missed":              `unknown command "statsu"; did you mean "status"?`,
		"-m 127.0.0.1 statsu --missed": `unknown command "statsu"; did you mean "status"?`,
		"help statsu":                  `unknown command "statsu"; did you mean "status"?`,
		"h statsu":                     `unknown command "statsu"; did you mean "status"?`,
		"--help statsu":                `unknown command "statsu"; did you mean "status"?`,
		"STATUS -m 127.0.0.1":          `unknown command "STATUS"; did you mean "status"?`,
		"applay -f x":                  `unknown command "applay"; did you mean "apply"?`,
		"applay -f x --server y":       `unknown command "applay"; did you mean "apply"?`,
		"reset -m 1.2.3.4":             `unknown command "reset"`,
		"jion -n 1.2.3.4":              `unknown command "jion"; did you mean "join"?`,
		"upgrade foo":                  `unknown command "upgrade"`,
		"chekc -m 127.0.0.1":           `unknown command "chekc"; did you mean "check"?`,
		"push":                         `unknown command "push"`,
		"pull":                         `unknown command "pull"`,
		"load":                         `unknown command "load"`,
		"completion bash":              `unknown command "completion"`,
		"registry srve":                `unknown command "srve"`,
		"a:v1 statsu -m 127.0.0.1":     `unknown command "statsu"; did you mean "status"?`,
		"a:v1 --dry-run false":         `unknown command "false"`,
	})
}

// TestWordsThatAreNotImages: a word that cannot name an image is never looked up in a registry.
func TestWordsThatAreNotImages(t *testing.T) {
	testUsage(t, map[string]string{
		"check kubernetes -m 127.0.0.1": `"kubernetes" is not an image`,
		"a:v1 status -m 127.0.0.1":      `"status" is a command, and a command is the first word: sealer-run status`,
		"layout -m 127.0.0.1":           "for the file or directory of that name write ./layout",
		"inspect layout":                "for the file or directory of that name write ./layout",
		"kubernetes -m 127.0.0.1":       "for an image of that name write kubernetes:latest",
		"run kubernetes -m 127.0.0.1":   `"kubernetes" is not an image: for an image of that name write kubernetes:latest`,
		"apply -f x kubernetes":         `"kubernetes" is not an image`,
		"plan kubernetes -m 127.0.0.1":  `"kubernetes" is not an image`,
		"join kubernetes -n 127.0.0.1":  `"kubernetes" is not an image`,
		"images kubernetes":             `"kubernetes" is not an image`,
		"inspect status":                `"status" is a command`,
		"gen a:v1 -- --port 5":          `"--port" is not an image: write flags before --, and a file of that name as ./--port`,
		"gen -- a:v1 -m 127.0.0.1":      `"-m" is not an image: write flags before --`,
		"-- a:v1 -m 127.0.0.1":          `"-m" is not an image: write flags before --`,
		"run - -m 127.0.0.1":            `"-" is not an image: write flags before --, and a file of that name as ./-`,
	})
}

// TestArguments: arguments and flags that a command does not take, or needs, are named.
func TestArguments(t *testing.T) {
	testUsage(t, map[string]string{
		"check":                                 "no IMAGE",
		"check -m 127.0.0.1":                    "no IMAGE",
		"check a:v1":                            "no master",
		"check a:v1 -m 127.0.0.1 --dry-run":     "unknown flag --dry-run for check",
		"registry":                              "no command given; there are serve",
		"-m 127.0.0.1 status":                   "flag --masters is before the command; write sealer-run status --masters",
		"--dry-run version":                     "unknown flag --dry-run for version",
		"version extra":                         `version takes no arguments, and got "extra"`,
		"status ./x -m 127.0.0.1":               "status takes no arguments",
		"status --missed --served -m 127.0.0.1": "--served and --missed are mutually exclusive",
		"status --missed -o json -m 127.0.0.1":  "--missed and --output are mutually exclusive",
		"images a:v1 -m 127.0.0.1":              "--masters is for --from-cluster only",
		"images a:v1 --why b:v1 --from-cluster": "--why and --from-cluster are mutually exclusive",
		"gen --schema -m 127.0.0.1":             "takes no IMAGE and no other flags",
		"gen a:v1 -m 127.0.0.1 --output json":   "unknown flag --output for gen",
	})
}

// TestArgumentsOfDelete: hosts and flags that do not fit together are named before anything is deleted.
func TestArgumentsOfDelete(t *testing.T) {
	testUsage(t, map[string]string{
		"delete ./x --all -m 127.0.0.1":                       "delete takes no arguments",
		"delete":                                              "delete needs the hosts that leave (-n 192.168.0.10",
		"delete --lost":                                       "delete needs the hosts that leave",
		"delete --all":                                        "no master",
		"delete --all --lost -m 127.0.0.1":                    "--all and --lost: --lost is for single hosts",
		"delete --all -m 127.0.0.1 --skip-drain":              "--all and --skip-drain",
		"delete --all -m 127.0.0.1 --via 127.0.0.2":           "--all and --via: --via is for single hosts",
		"delete --all -m 127.0.0.1 --drain-timeout 1m":        "--all and --drain-timeout",
		"delete --lost -n 127.0.0.1 --yes":                    "name a master that stays: --via ADDRESS",
		"delete --lost --skip-drain -n 127.0.0.1 -f x":        "a lost host is not drained; leave out --skip-drain",
		"delete --lost --drain-timeout 1m -n 127.0.0.1 -f x":  "a lost host is not drained; leave out --drain-timeout",
		"delete -n 127.0.0.1 --via 127.0.0.1 --yes":           "127.0.0.1 leaves: --via is a master that stays",
		"delete -n 127.0.0.1 --via h1 --yes":                  `--via "h1" is not an IP address`,
		"delete -n 127.0.0.1 -m 127.0.0.1 --yes":              "127.0.0.1 is given with -m and with -n",
		"delete -n 127.0.0.300 --yes":                         "--nodes: ",
		"delete -n 127.0.0.1":                                 "there is no terminal: add --yes",
		"delete -n 127.0.0.1 --via 127.0.0.2 -f x":            "leave out --via",
		"delete -n 127.0.0.1 --user ops -f x":                 "--user and a Clusterfile",
		"delete -n 127.0.0.1 --skip-drain --drain-timeout 1m": "--skip-drain and --drain-timeout are mutually exclusive",
		"delete -n 127.0.0.1 --drain-timeout 0s":              "too short",
	})
}

// TestEmptyValues: a variable of the shell that is not set chooses no cluster, host or file, although its flag has a default.
func TestEmptyValues(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, line := range [][]string{
		{"delete", "--all", "--yes", "-m", "127.0.0.1", "--port", "1", "--cluster-name", ""},
		{"delete", "--all", "-m", "127.0.0.1", "--port", "1", "--yes="},
		{"delete", "--yes", "-m", "127.0.0.1", "-n", "", "--via", "127.0.0.2"},
		{"apply", "-f", ""},
		{"a:v1", "-m", ""},
		{"a:v1", "-m", "127.0.0.1", "--nodes", " "},
		{"a:v1", "-m", "127.0.0.1", "-p", ""},
		{"a:v1", "-m", "127.0.0.1", "-e", "A=1", "-e", ""},
		{"a:v1", "-m", "127.0.0.1", "--cmd-timeout", ""},
	} {
		stdout, stderr, status := call(t, "", line...)
		if status != commandline.Usage || stdout != "" || !strings.Contains(stderr, "the value is empty; is a variable of the shell not set?") {
			t.Errorf("%q: got status %d, want %d and what is empty in:\n%s%s", line, status, commandline.Usage, stdout, stderr)
		}
	}
}

// TestValuesOfGen: what run would refuse in a call, gen does too.
func TestValuesOfGen(t *testing.T) {
	testUsage(t, map[string]string{
		"gen a:v1 -m 127.0.0.1 --cluster-name ../x":   "cluster name",
		"gen a:v1 -m 127.0.0.1 --data-root /":         "spec.dataRoot",
		"gen a:v1 -m 127.0.0.1 --data-root x":         "spec.dataRoot",
		"gen a:v1 -m 127.0.0.1 --port -22":            "flag --port needs a value",
		"gen a:v1 -m 127.0.0.1 --port=-22":            "flag --port needs a value",
		"gen a:v1 -m 127.0.0.1 --port 0":              "write a number from 1 to 65535",
		"gen a:v1 -m 127.0.0.1 --port 18446744073709": "write a number from 1 to 65535",
	})
}

// TestAddresses: what is wrong with an address, and how to write what was meant.
func TestAddresses(t *testing.T) {
	testUsage(t, map[string]string{
		"gen a:v1 -m [fd00::1]":                "write an IPv6 address without brackets: fd00::1",
		"gen a:v1 -m [fd00::1]:22":             "write fd00::1, and the SSH port with --port",
		"gen a:v1 -m 10.0.0.1:2222":            "write 10.0.0.1, and the SSH port with --port",
		"gen a:v1 -m root@10.0.0.1":            "write 10.0.0.1, and the login with --user",
		"gen a:v1 -m 10.0.0.0/8":               "hosts of a network are a range, such as 192.168.0.2-192.168.0.7",
		"gen a:v1 -m fe80::1%eth0":             "has a zone, which means something on one machine only",
		"gen a:v1 -m 0.0.0.0":                  "is not the address of a host",
		"gen a:v1 -m ff02::1":                  "is not the address of a host",
		"gen a:v1 -m 10.0.0.1,":                "an entry of the list is empty",
		"gen a:v1 -m 10.0.0.1,,10.0.0.2":       "an entry of the list is empty",
		"gen a:v1 -m 10.0.0.9-10.0.0.1":        "a range goes from a lower to a higher address",
		"gen a:v1 -m 10.0.0.0-10.255.255.255":  "more than 1024 addresses",
		"gen a:v1 -m fd00::1-fdff::":           "more than 1024 addresses",
		"gen a:v1 -m 10.0.0.1-fd00::1":         "of one family",
		"gen a:v1 -m 10.0.0.1-":                "a range needs two addresses",
		"gen a:v1 -m 10.0.0.1 -n 10.0.0.1":     "a host has one role",
		"gen a:v1 -m 10.0.0.1 -m 10.0.0.1":     "is given twice",
		"gen a:v1 -m ::ffff:10.0.0.1,10.0.0.1": "is given twice",
	})
}

// TestRepeatedAddresses: every -m and -n counts.
func TestRepeatedAddresses(t *testing.T) {
	image := layout(t)
	stdout, stderr, status := call(t, "", "gen", image, "-m", "10.0.0.1", "-n", "10.0.0.4,10.0.0.5", "--masters", "10.0.0.2-10.0.0.3", "--nodes=10.0.0.6")
	if status != 0 {
		t.Fatal(status, stderr)
	}
	for i := range 6 {
		if address := fmt.Sprintf("10.0.0.%d", i+1); strings.Count(stdout, address) != 1 {
			t.Errorf("%s is not in it once:\n%s", address, stdout)
		}
	}
}
