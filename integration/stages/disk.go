package main

import (
	"fmt"
	"syscall"
)

const (
	// diskNeeded is what a whole run with compiled tools writes, in bytes: hosts, images, and results of builds.
	diskNeeded = 10e9
	// diskFull is how little free space explains failures.
	diskFull = 1e9
)

// disk watches how much space is free below a directory.
type disk struct {
	dir   string
	least uint64 // in bytes, since the first sample; 0 before
}

// sample asks how much is free now.
func (d *disk) sample() error {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &stat); err != nil {
		return fmt.Errorf("asking for the free space of %s: %w", d.dir, err)
	}
	free := stat.Bavail * uint64(stat.Bsize)
	if d.least == 0 || free < d.least {
		d.least = free
	}
	return nil
}

// require refuses a run of which some stage would fill the disk.
func (d *disk) require(bytes uint64) error {
	if err := d.sample(); err != nil || d.least >= bytes {
		return err
	}
	return fmt.Errorf("%s of disk are free below %s, and the lab needs %s: free some (make clean; go clean -cache), or name other stages with STAGES=",
		gigabytes(d.least), d.dir, gigabytes(bytes))
}

func gigabytes(bytes uint64) string { return fmt.Sprintf("%.1f GB", float64(bytes)/1e9) }
