package main

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
)

func TestDiskIsRequired(t *testing.T) {
	d := &disk{dir: t.TempDir()}
	if err := d.require(1); err != nil || d.least == 0 {
		t.Errorf("%v, with %d bytes free", err, d.least)
	}
	if err := d.require(math.MaxUint64); err == nil || !strings.Contains(err.Error(), "are free below "+d.dir) {
		t.Errorf("more than there is: %v", err)
	}
	if err := (&disk{dir: filepath.Join(d.dir, "missing")}).require(1); err == nil {
		t.Error("a directory that is missing has space")
	}
}

func TestFullDiskIsReported(t *testing.T) {
	rep := sampleReport(t)
	for least, want := range map[uint64]string{31e9: "; at least 31.0 GB of disk were free.", 2e8: "; only 0.2 GB of disk were free at times, which may be why stages failed."} {
		rep.Machine.LeastDisk = least
		if got := rep.summary(); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q at its end", got, want)
		}
	}
}
