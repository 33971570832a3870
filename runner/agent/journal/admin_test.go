package journal

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/agenttest"
)

var firstSeed = flag.Uint64("seed", 0, "the first of the seeds of TestEditsOfAnAdministratorStay")

// administrator edits files of a host at random, and remembers what has to be found in the end.
type administrator struct {
	t     *testing.T
	r     *rand.Rand
	words int
	wrote map[string][]string // by file: lines that are nowhere else
}

// edit changes a file once.
func (a *administrator) edit(path string) {
	a.words++
	word := fmt.Sprintf("10.9.0.%d theirs-%d", a.words%250, a.words)
	if !agenttest.Exists(path) {
		agenttest.Write(a.t, path, word+"\n")
		a.wrote[path] = append(a.wrote[path], word)
		return
	}
	lines := strings.SplitAfter(agenttest.Read(a.t, path), "\n")
	at := a.r.IntN(len(lines))
	switch a.r.IntN(8) {
	case 0, 1:
		lines = append(lines, word+"\n")
	case 2, 3:
		lines = slices.Insert(lines, at, word+"\n")
	case 4: // of ours or of theirs
		a.forget(path, lines[at])
		lines = slices.Delete(lines, at, at+1)
		word = ""
	case 5:
		a.forget(path, lines[at])
		lines[at] = word + "\n"
	case 6:
		if err := os.Chmod(path, 0o600); err != nil {
			a.t.Fatal(err)
		}
		return
	case 7:
		a.wrote[path], word = nil, ""
		if err := os.Remove(path); err != nil {
			a.t.Fatal(err)
		}
		return
	}
	if word != "" {
		a.wrote[path] = append(a.wrote[path], word)
	}
	temp := path + ".edit" // as editors do
	agenttest.Write(a.t, temp, strings.Join(lines, ""))
	if err := os.Rename(temp, path); err != nil {
		a.t.Fatal(err)
	}
}

func (a *administrator) forget(path, line string) {
	a.wrote[path] = slices.DeleteFunc(a.wrote[path], func(word string) bool { return word == strings.TrimSpace(line) })
}

// everything is a file and the copies beside it.
func (a *administrator) everything(path string) (text string) {
	copies, err := filepath.Glob(path + ".before-kubefile*")
	if err != nil {
		a.t.Fatal(err)
	}
	for _, name := range append(copies, path) {
		if agenttest.Exists(name) {
			text += agenttest.Read(a.t, name)
		}
	}
	return text
}

// An administrator edits files at random between applies that change. After the removal all of the edits are there; of ours nothing is in
// the shared file, and our own file is only there when it was edited, which the removal says.
func TestEditsOfAnAdministratorStay(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+60; seed++ {
		root, cluster := machine(t)
		hosts, own, replaced := filepath.Join(root, "etc/hosts"), filepath.Join(root, "etc/own/hosts.toml"), filepath.Join(root, "etc/replaced")
		agenttest.Write(t, replaced, "original\n")
		a := &administrator{t: t, r: rand.New(rand.NewPCG(seed, 7)), wrote: map[string][]string{}}
		for round := range 1 + a.r.IntN(4) {
			names(t, cluster, hosts, "127.0.0.1 ours-api", fmt.Sprintf("10.0.0.%d ours-%d", round, a.r.IntN(3)), "10.0.0.99 ours")
			for _, path := range []string{own, replaced} {
				put(t, cluster, path, fmt.Sprintf("ours %s\nours too\n", strings.Repeat("x", a.r.IntN(3))), 0o644)
			}
			for range a.r.IntN(5) {
				a.edit([]string{hosts, own, replaced}[a.r.IntN(3)])
			}
		}
		left := strings.Join(undo(t, cluster), "\n")
		for path, words := range a.wrote {
			text := a.everything(path)
			for _, word := range words {
				if !strings.Contains(text, word+"\n") && !strings.HasSuffix(text, word) {
					t.Errorf("seed %d: %s lost %q, and is\n%s", seed, path, word, text)
				}
			}
		}
		if agenttest.Exists(hosts) && strings.Contains(agenttest.Read(t, hosts), "ours") || agenttest.Exists(hosts) && strings.Contains(agenttest.Read(t, hosts), "kubefile") {
			t.Errorf("seed %d: lines of ours are left:\n%s", seed, agenttest.Read(t, hosts))
		}
		for _, path := range []string{own, replaced} {
			if agenttest.Exists(path) && strings.Contains(agenttest.Read(t, path), "ours") && !strings.Contains(left, path+": changed by others") {
				t.Errorf("seed %d: %s is left, and not named in\n%s", seed, path, left)
			}
		}
		if !strings.Contains(a.everything(replaced), "original\n") {
			t.Errorf("seed %d: the original of %s is lost", seed, replaced)
		}
		if agenttest.Exists(cluster) {
			t.Errorf("seed %d: the cluster's directory is there", seed)
		}
	}
}
