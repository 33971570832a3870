package journal

import (
	"errors"
	"fmt"
	"os"

	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// Install makes the cluster's directory and puts the runner that serves this
// very request in its place.
func Install(r wire.InstallRequest) (wire.InstallAnswer, error) {
	answer := wire.InstallAnswer{Protocol: wire.Protocol}
	j, err := openJournal(r.Dir)
	if err != nil {
		return answer, err
	}
	defer j.Close()
	if r.Temp == "" {
		return answer, nil
	}
	sum, err := clusterdir.DigestOf(r.Temp)
	if err != nil {
		return answer, err
	}
	if sum != r.Digest {
		os.Remove(r.Temp)
		return answer, fmt.Errorf("the runner: %w: its digest is %s instead of %s", wire.ErrDamaged, sum, r.Digest)
	}
	if err := j.prepare(r.Path, sum, 0o755); err != nil {
		return answer, err
	}
	f, err := os.Open(r.Temp) // for writing would fail: it is running
	if err == nil {
		err = errors.Join(f.Chmod(0o755), f.Sync(), f.Close())
	}
	if err != nil {
		return answer, err
	}
	answer.Changed = true
	return answer, publish(r.Temp, r.Path)
}
