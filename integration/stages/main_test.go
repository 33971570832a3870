package main

import (
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// TestSignalsStopTheStages: whoever ends the run with the keyboard, a terminal that closes or a supervisor ends its stages, too.
func TestSignalsStopTheStages(t *testing.T) {
	t.Cleanup(func() { signal.Reset() })
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		stop, kill := interrupts()
		if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		select {
		case <-stop.Done():
		case <-time.After(time.Minute):
			t.Fatalf("%s does not stop the run", sig)
		}
		if kill.Err() != nil {
			t.Errorf("the first %s kills", sig)
		}
	}
}
