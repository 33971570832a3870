//go:build e2e

package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// badInput tries what goes wrong at a site. Each gets an error that names host or file, and nothing is changed, which wholeRoad checks
// on all hosts afterwards.
func (r *road) badInput(t *testing.T) {
	archive := filepath.Join(r.home, "oci.tar")
	key := []string{"--pk", r.lab.Key}
	cases := []struct {
		name string
		args []string
		env  string
		want []string // in the error
		code int
	}{
		{"unknown flag", []string{r.source, "-m", masters, "--mastres", "x"}, "", []string{"mastres"}, 2},
		{"no master", []string{r.source, "-n", nodes}, "", []string{"-m"}, 2},
		{"address twice", append([]string{r.source, "-m", masters, "-n", "10.77.0.12,10.77.0.12"}, key...), "", []string{"10.77.0.12", "twice"}, 2},
		{"master and node", append([]string{r.source, "-m", masters, "-n", masters}, key...), "", []string{"10.77.0.11", "one role"}, 2},
		{"no such image", append([]string{filepath.Dir(r.source) + "/nothing:v1", "-m", masters}, key...), "", []string{"nothing:v1", "not found"}, 1},
		{"no such file", append([]string{"./none.tar", "-m", masters}, key...), "", []string{"none.tar", "not found"}, 1},
		{"not a cluster image", append([]string{r.plainLayout(t), "-m", masters}, key...), "", []string{"not a cluster image"}, 1},
		{"unreachable host", append([]string{archive, "-m", masters, "-n", "10.77.0.99"}, key...), "", []string{"10.77.0.99", "nothing has been changed"}, 1},
		{"wrong password", []string{archive, "-m", masters}, "SEALER_PASSWD=wrong", []string{"10.77.0.11"}, 1},
		{"no sudo", []string{archive, "-m", masters, "-u", "nosudo"}, "SEALER_PASSWD=" + r.lab.Passwords["nosudo"], []string{"10.77.0.11", "sudo"}, 1},
		{"no space", append([]string{archive, "-m", masters, "--data-root", "/run/lock"}, key...), "", []string{"10.77.0.11", "free"}, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cmd := r.command(t.Context(), c.args...)
			cmd.Env = append(cmd.Env, c.env)
			r.refused(t, cmd, c.code, c.want...)
		})
	}
	t.Run("damaged archive", func(t *testing.T) { r.damagedArchive(t, archive) })
	t.Run("host key changed", r.changedHostKey)
	t.Run("one host name twice", r.sameHostname)
}

// pending is the exit status of a plan with changes.
const pending = 2

// exitCode is the status that a program ended with; -1 when it did not run to its end.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		return -1
	}
	return 0
}

func (r *road) refused(t *testing.T, cmd *exec.Cmd, code int, want ...string) {
	t.Helper()
	_, stderr, err := r.output(cmd)
	if exitCode(err) != code {
		t.Fatalf("ended with %v, not with exit code %d:\n%s", err, code, stderr)
	}
	for _, text := range want {
		if !strings.Contains(stderr, text) {
			t.Errorf("the error does not say %q:\n%s", text, stderr)
		}
	}
}

// plainLayout is an image that no Kubefile built.
func (r *road) plainLayout(t *testing.T) string {
	t.Helper()
	layout := filepath.Join(t.TempDir(), "plain") + ":v1"
	r.local(t, filepath.Join(r.env.Bin, "oras"), "cp", "--from-plain-http", "--to-oci-layout", r.env.Upstream+"/docker.io/library/busybox:latest", layout)
	return layout
}

// damagedArchive truncates the archive and flips bits in it, at places all over it.
func (r *road) damagedArchive(t *testing.T, archive string) {
	whole, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "damaged.tar")
	try := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		r.refused(t, r.command(t.Context(), file, "-m", masters, "--pk", r.lab.Key), 1, "damaged.tar")
	}
	for _, part := range []int{2, 3, 10} {
		try(whole[:len(whole)/part])
	}
	try(whole[:100])
	try(whole[:len(whole)-2048])
	for _, at := range []int{len(whole) / 3, len(whole) / 2, len(whole) - len(whole)/5} {
		whole[at] ^= 0x10
		try(whole)
		whole[at] ^= 0x10
	}
}

// changedHostKey pins one host's key as another's.
func (r *road) changedHostKey(t *testing.T) {
	pins := filepath.Join(r.home, ".config/sealer-run/known_hosts")
	before, err := os.ReadFile(pins)
	if err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(pins, before, 0o600)
	swapped := strings.NewReplacer("10.77.0.11", "10.77.0.12", "10.77.0.12", "10.77.0.11").Replace(string(before))
	if err := os.WriteFile(pins, []byte(swapped), 0o600); err != nil {
		t.Fatal(err)
	}
	r.refused(t, r.command(t.Context(), filepath.Join(r.home, "oci.tar"), "-m", masters, "--pk", r.lab.Key), 1, "10.77.0.11", "key")
}

func (r *road) sameHostname(t *testing.T) {
	r.ssh(t, 2, "hostname h1")
	defer r.lab.SSH(context.WithoutCancel(t.Context()), 2, nil, "hostname h2")
	r.refused(t, r.command(t.Context(), filepath.Join(r.home, "oci.tar"), "-m", masters, "-n", nodes, "--pk", r.lab.Key), 1, "10.77.0.12", "h1")
}
