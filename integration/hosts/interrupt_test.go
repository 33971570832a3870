//go:build hosts

package hosts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// interrupted runs a command as a terminal does, and interrupts it and what it has started once the file is there. It returns what was printed.
func interrupted(t *testing.T, cmd *exec.Cmd, file string) string {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	group := -cmd.Process.Pid
	t.Cleanup(func() { syscall.Kill(group, syscall.SIGKILL) })
	until(t, "the command has begun", func() bool { _, err := os.Stat(file); return err == nil })
	if err := syscall.Kill(group, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // the status does not matter
	return out.String()
}

// until waits for something that takes a moment.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute it is not so that %s", what)
		}
	}
}

func writeScript(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("#!/bin/bash\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestDemoSaysHowToStopTheLab interrupts the demo while make starts services.
func TestDemoSaysHowToStopTheLab(t *testing.T) {
	bin := t.TempDir()
	writeScript(t, filepath.Join(bin, "make"), "echo > "+bin+"/began; sleep 1000")
	cmd := exec.Command("../demo/demo.sh")
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "LAB_NAME=kg")
	if out := interrupted(t, cmd, bin+"/began"); !strings.Contains(out, "LAB_NAME=kg make hosts-down down") {
		t.Errorf("it printed %q, want the command that stops the lab", out)
	}
}

// TestAnInterruptEndsTheTemplate interrupts what make template has started in the background.
func TestAnInterruptEndsTheTemplate(t *testing.T) {
	makefile, err := filepath.Abs("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeScript(t, filepath.Join(dir, "integration/hosts/hosts.sh"), "trap 'echo > "+dir+"/ended' EXIT; echo > "+dir+"/began; sleep 1000")
	cmd := exec.Command("sh", "-c", "make -f "+makefile+" template && sleep 1000")
	cmd.Dir = dir
	interrupted(t, cmd, dir+"/began")
	until(t, "the template's script has ended", func() bool { _, err := os.Stat(dir + "/ended"); return err == nil })
}
