package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// started is where a unit notes on its host when it was started.
const started = "/run/started"

// systemctl keeps units. Hosts share a network, so that only one of them can run a program of each: its master, or the first node. What the
// others run is that process.
func systemctl(args []string) error {
	unit := args[len(args)-1]
	switch {
	case args[0] == "show" && args[1] == "--property":
		return show(unit)
	case args[0] == "show":
		for _, name := range args[1:] {
			if strings.HasSuffix(name, ".service") {
				fmt.Printf("Id=%s\nLoadState=not-found\nActiveState=inactive\n\n", name)
			}
		}
		return nil
	case args[0] == "restart":
		return restart(unit)
	case args[0] == "is-active":
		_, err := os.Stat(filepath.Join(started, unit))
		return err
	case args[0] == "daemon-reload", args[0] == "enable":
		return nil
	}
	return fmt.Errorf("systemctl %s is not replaced", strings.Join(args, " "))
}

// processFile has the process of a unit.
func processFile(unit string) string { return filepath.Join(world, "process", unit) }

func show(unit string) error {
	since, err := os.ReadFile(filepath.Join(started, unit))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Println("LoadState=not-found")
		return err
	}
	pid, failed := os.ReadFile(processFile(unit))
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	_, err = fmt.Printf("LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nNRestarts=0\nMainPID=%s\nActiveEnterTimestampMonotonic=%s\n", pid, since)
	return err
}

// restart starts a unit, and its process if it is this host that runs it.
func restart(unit string) error {
	own, err := address()
	if err != nil {
		return err
	}
	runner, err := os.ReadFile(filepath.Join(world, "runs", unit))
	if err != nil {
		return err
	}
	if own == strings.TrimSpace(string(runner)) {
		err = start(unit)
	} else {
		err = awaitProcess(unit)
	}
	if err != nil {
		return err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	if err := os.MkdirAll(started, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(started, unit), []byte(strconv.FormatInt(now.Nano()/1000, 10)), 0o644)
}

// awaitProcess waits for the host that runs the process of a unit.
func awaitProcess(unit string) error {
	for range 300 {
		if _, err := os.Stat(processFile(unit)); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%s: the host that runs it did not start it", unit)
}

// start runs the program of a unit, in place of the one that runs.
func start(unit string) error {
	if old, err := os.ReadFile(processFile(unit)); err == nil {
		if pid, err := strconv.Atoi(string(old)); err == nil {
			syscall.Kill(pid, syscall.SIGKILL)
			time.Sleep(100 * time.Millisecond)
		}
	}
	text, err := os.ReadFile(filepath.Join("/etc/systemd/system", unit))
	if err != nil {
		return err
	}
	_, line, found := strings.Cut(string(text), "\nExecStart=")
	if !found {
		return fmt.Errorf("%s has no ExecStart", unit)
	}
	line, _, _ = strings.Cut(line, "\n")
	argv := strings.Fields(line)
	log, err := os.OpenFile(filepath.Join(world, unit+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(processFile(unit)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(processFile(unit), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644)
}
