package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/execute"
)

// Scripts are run by the program that their first line names, and not by the kernel: /tmp may be mounted noexec.
func TestScriptsOfPluginsNeedNoExecution(t *testing.T) {
	for name, test := range map[string]struct{ first, want string }{
		"interpreter":               {"#!/bin/sh\n", "not executable"},
		"interpreter with argument": {"#!/bin/sh -e\n", "not executable"},
		"env":                       {"#!/usr/bin/env sh\n", "not executable"},
		"a space before":            {"#! /bin/sh\n", "not executable"},
		"nothing":                   {"", "not executable"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command("sh", "-c", "umask 027\n"+ShellScript)
			cmd.Env = append(os.Environ(), "TMPDIR="+dir)
			cmd.Stdin = strings.NewReader(test.first + `if [ -x "$0" ]; then echo executable; else echo not executable; fi; umask; exit 7`)
			out, err := cmd.Output()
			if cmd.ProcessState.ExitCode() != 7 {
				t.Errorf("exit code %d (%v), want the script's 7", cmd.ProcessState.ExitCode(), err)
			}
			if want := test.want + "\n0022\n"; string(out) != want {
				t.Errorf("got %q, want %q", out, want)
			}
			left, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

// Files that a hook makes can be read by others, whatever the host's umask is.
func TestHooksHaveTheUsualUmask(t *testing.T) {
	for _, first := range []string{"#!/bin/sh\n", ""} {
		script := filepath.Join(t.TempDir(), "init.sh")
		if err := os.WriteFile(script, []byte(first+"umask"), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("sh", "-c", "umask 027\n"+execute.RunScript, "sh", script).Output()
		if err != nil || string(out) != "0022\n" {
			t.Errorf("%q: umask %q, %v, want 0022", first, out, err)
		}
	}
}
