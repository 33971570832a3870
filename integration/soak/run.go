package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// caseLimit is the longest time of a case; what takes longer hangs.
	caseLimit = time.Hour
	// mostLog is how many bytes of a failed case's output are kept.
	mostLog = 16 << 10
)

// soak runs matrices and keeps their report.
type soak struct {
	root   string // of the repository
	out    string
	w      io.Writer // progress
	report *Report
}

// run starts the cases of a matrix one after the other until its time is over, continues after a failure, and writes the report after each.
func (s *soak) run(ctx context.Context, m Matrix, set settings) error {
	s.report.Matrices = append(s.report.Matrices, MatrixReport{Name: m.Name, Loaded: m.Loaded, Seed: set.Seed})
	report := &s.report.Matrices[len(s.report.Matrices)-1]
	if m.Loaded {
		stop := load()
		defer stop()
	}
	fmt.Fprintf(s.w, "%s: seed %d, %s\n", m.Name, set.Seed, set.Time)
	err := s.cases(ctx, m, set, report)
	if len(m.After) > 0 && len(report.Cases) > 0 {
		err = errors.Join(err, s.after(ctx, m))
	}
	return err
}

// cases starts the cases of a matrix.
func (s *soak) cases(ctx context.Context, m Matrix, set settings, report *MatrixReport) error {
	started := time.Now()
	for c := range m.Cases(set) {
		if time.Since(started) >= set.Time {
			if m.Endless {
				break
			}
			report.NotRun = append(report.NotRun, c.Name)
			continue
		}
		outcome := s.try(ctx, c)
		report.Cases = append(report.Cases, outcome)
		report.Seconds = time.Since(started).Seconds()
		fmt.Fprintf(s.w, "%s %s: %s in %s\n", m.Name, c.Name, outcome.Result, span(outcome.Seconds))
		if outcome.Result == Failed {
			fmt.Fprintln(s.w, indented(outcome.Log))
		}
		s.report.Interrupted = ctx.Err() != nil
		if err := s.report.Write(s.out); err != nil {
			return err
		}
		if s.report.Interrupted {
			return ctx.Err()
		}
	}
	return nil
}

// afterLimit is how long stopping may take what the cases of a matrix have left running.
const afterLimit = 10 * time.Minute

// after stops what the cases of a matrix have left running, also after an interrupt.
func (s *soak) after(ctx context.Context, m Matrix) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.After[0], m.After[1:]...)
	cmd.Dir = s.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s, after the matrix %s: %w: %s", strings.Join(m.After, " "), m.Name, err, out)
	}
	return nil
}

// try runs one case.
func (s *soak) try(ctx context.Context, c Case) Outcome {
	outcome := Outcome{Name: c.Name, Seed: c.Seed, Command: s.line(c), Result: Passed}
	limited, cancel := context.WithTimeout(ctx, caseLimit)
	defer cancel()
	cmd := exec.CommandContext(limited, c.Command[0], c.Command[1:]...)
	cmd.Dir = filepath.Join(s.root, c.Dir)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on, and what a case started ends with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	started := time.Now()
	output, err := cmd.CombinedOutput()
	outcome.Seconds = time.Since(started).Seconds()
	switch {
	case ctx.Err() != nil:
		outcome.Result = Interrupted
	case err != nil:
		outcome.Result = Failed
		outcome.Log = end(output, mostLog) + reason(limited, err)
	}
	return outcome
}

// reason returns why a case failed, to print after its own output.
func reason(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Sprintf("\nnot finished after %s", caseLimit)
	}
	return "\n" + err.Error()
}

// line is the case as it is repeated in a shell, in the root of the repository.
func (s *soak) line(c Case) string {
	words := append(append([]string{}, c.Env...), c.Command...)
	for i, word := range words {
		word = strings.Replace(word, s.root+"/", "", 1)
		if strings.ContainsAny(word, "^$ '") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		words[i] = word
	}
	if c.Dir == "" {
		return strings.Join(words, " ")
	}
	return "cd " + c.Dir + " && $OLDPWD/" + strings.Join(words, " ")
}

// end returns the last bytes of an output, without half a line at the beginning.
func end(output []byte, most int) string {
	if len(output) <= most {
		return string(output)
	}
	text := string(output[len(output)-most:])
	_, text, _ = strings.Cut(text, "\n")
	return "...\n" + text
}

// load keeps all processors busy until it is stopped.
func load() (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	for range runtime.NumCPU() {
		running.Go(func() {
			for sum := 0; ; sum++ {
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	return func() {
		close(done)
		running.Wait()
	}
}
