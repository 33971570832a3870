package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process runs the command of a stage in a process group of its own, with its output in a log file.
type process struct {
	stage stage
	log   string
	grace time.Duration
	kill  context.Context

	mu   sync.Mutex
	last string
}

// niceness is the niceness of stages that compute: they still get a processor that is otherwise idle.
const niceness = 10

func (p *process) run(stop context.Context) result {
	began := time.Now()
	done := result{stage: p.stage, status: failed, log: p.log}
	file, err := os.Create(p.log)
	if err != nil {
		done.reason = err.Error()
		return done
	}
	defer file.Close()
	output := &output{log: file, saw: p.setLast}
	cmd := exec.Command(p.stage.command[0], p.stage.command[1:]...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second // a daemon may keep the output open
	err = cmd.Start()
	if err == nil {
		if p.stage.nice {
			err = syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, niceness)
		}
		err = errors.Join(err, p.wait(stop, cmd))
		done.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	output.close()
	done.wall = time.Since(began)
	done.tests = output.tests
	switch {
	case err == nil:
		done.status = passed
	case errors.Is(err, errStopped):
		done.status, done.reason = stopped, "interrupted"
	default:
		done.reason = err.Error()
	}
	return done
}

var errStopped = errors.New("stopped")

// wait waits for the command, and ends its process group at the limit and when the run is stopped.
func (p *process) wait(stop context.Context, cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	limit := time.NewTimer(p.stage.limit)
	defer limit.Stop()
	var reason error
	select {
	case err := <-ended:
		if errors.Is(err, exec.ErrWaitDelay) {
			return nil
		}
		return err
	case <-limit.C:
		reason = fmt.Errorf("not finished after its limit of %s", p.stage.limit)
	case <-stop.Done():
		reason = errStopped
	}
	group := -cmd.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-ended:
		syscall.Kill(group, syscall.SIGKILL) // what has ignored the first signal
		return reason
	case <-time.After(p.grace):
	case <-p.kill.Done():
	}
	syscall.Kill(group, syscall.SIGKILL)
	<-ended
	return reason
}

func (p *process) setLast(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = line
}

func (p *process) lastLine() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}
