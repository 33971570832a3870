package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// sweepBuildKit removes what a killed buildkitd leaves behind below its root: the containers of running build steps and their mounts.
func (l *lab) sweepBuildKit(ctx context.Context, root string) error {
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
		return nil // it never ran
	}
	// buildkitd uses runc's default state directory, where containers of others may be too.
	list, err := exec.CommandContext(ctx, l.tool("runc"), "list", "--format", "json").Output()
	if err != nil {
		return fmt.Errorf("listing the containers of build steps: %w", err)
	}
	var containers []struct{ ID, Bundle string }
	if err := json.Unmarshal(list, &containers); err != nil {
		return fmt.Errorf("listing the containers of build steps: %w", err)
	}
	for _, c := range containers {
		if strings.HasPrefix(c.Bundle, root+"/") {
			if err := run(exec.CommandContext(ctx, l.tool("runc"), "delete", "--force", c.ID)); err != nil {
				return err
			}
		}
	}
	return unmountBelow(root)
}

// unmountBelow unmounts what a killed buildkitd left below its root.
func unmountBelow(root string) error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	for line := range strings.Lines(string(data)) {
		// The fifth field is the mount point (proc_pid_mountinfo(5)); none below root has characters that are escaped in it.
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], root+"/") {
			points = append(points, fields[4])
		}
	}
	for _, point := range slices.Backward(points) { // the last mounted first
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting %s: %w", point, err)
		}
	}
	return nil
}
