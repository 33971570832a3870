//go:build scale

// Package scale measures runs of sealer-run on hundreds of hosts: see README.md.
package scale

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

var sizes = flag.String("hosts", "5,10", "how many hosts, in rising order, separated by commas")

// inner says in the environment of this program which of the three processes it is.
const inner = "KUBEFILE_SCALE"

// TestMain runs the tests in namespaces of their own, so that nothing of the machine is changed and nothing is left running.
func TestMain(m *testing.M) {
	switch os.Getenv(inner) {
	case "":
		flags := uintptr(syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWPID)
		os.Exit(again("init", &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}, (*exec.Cmd).Wait))
	case "init":
		if err := becomeInit(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(again("tests", nil, reap))
	default:
		os.Exit(m.Run())
	}
}

// again runs this program as another of the three processes, and returns its exit status.
func again(stage string, attributes *syscall.SysProcAttr, wait func(*exec.Cmd) error) int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inner+"="+stage)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdin, os.Stdout, os.Stderr, attributes
	err := cmd.Start()
	if err == nil {
		err = wait(cmd)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// becomeInit makes this the first process of the hosts, by the name that they expect.
func becomeInit() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	return os.WriteFile("/proc/self/comm", []byte("systemd"), 0)
}

// reap waits for a process, and for all that lose their parents meanwhile.
func reap(cmd *exec.Cmd) error {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return err
		case pid == cmd.Process.Pid && status.ExitStatus() != 0:
			return fmt.Errorf("the tests ended with exit status %d", status.ExitStatus())
		case pid == cmd.Process.Pid:
			return nil
		}
	}
}

// hostCounts are the numbers of the flag.
func hostCounts(t *testing.T) (counts []int) {
	t.Helper()
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 2 || n > 1000 || len(counts) > 0 && n <= counts[len(counts)-1] {
			t.Fatalf("-hosts=%s: want numbers from 2 to 1000, in rising order", *sizes)
		}
		counts = append(counts, n)
	}
	return counts
}
