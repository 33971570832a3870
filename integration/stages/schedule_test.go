package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell is a stage that runs a script in a directory of the test's own.
func shell(name, script string, after ...string) stage {
	return stage{name: name, command: []string{"sh", "-c", script}, after: after, limit: time.Minute}
}

// runStages runs stages until they end and returns their results by name, and what the runner printed.
func runStages(t *testing.T, r *runner, stages ...stage) (map[string]result, string) {
	t.Helper()
	return runUntil(t, context.Background(), r, stages...)
}

func runUntil(t *testing.T, stop context.Context, r *runner, stages ...stage) (map[string]result, string) {
	t.Helper()
	if err := validate(stages); err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	r.stages, r.out, r.dir = stages, &printed, filepath.Join(t.TempDir(), "test")
	if r.every == 0 {
		r.every = time.Hour
	}
	if r.grace == 0 {
		r.grace = time.Minute
	}
	if r.kill == nil {
		r.kill = context.Background()
	}
	results, err := r.run(stop)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]result{}
	for i, got := range results {
		if got.stage.name != stages[i].name {
			t.Errorf("result %d is of %s, want %s", i, got.stage.name, stages[i].name)
		}
		byName[got.stage.name] = got
	}
	return byName, printed.String()
}

func wantStatus(t *testing.T, results map[string]result, want map[string]status) {
	t.Helper()
	for name, status := range want {
		if got := results[name].status; got != status {
			t.Errorf("%s: %s (%s), want %s", name, got, results[name].reason, status)
		}
	}
}

func TestStagesRunInTheirOrder(t *testing.T) {
	order := filepath.Join(t.TempDir(), "order")
	note := func(text string) string { return "echo " + text + " >> \"" + order + "\"; " }
	wait := func(text string) string { return "until grep -qs " + text + " \"" + order + "\"; do sleep .01; done; " }
	results, printed := runStages(t, &runner{},
		shell("base", note("base")),
		shell("left", wait("right-began")+note("left"), "base"), // ends only because right runs at the same time
		shell("right", note("right-began")+wait("^left$")+note("right"), "base"),
		shell("top", note("top"), "left", "right"))
	wantStatus(t, results, map[string]status{"base": passed, "left": passed, "right": passed, "top": passed})
	got, err := os.ReadFile(order)
	if want := "base\nright-began\nleft\nright\ntop\n"; err != nil || string(got) != want {
		t.Errorf("the order was %q, %v; want %q", got, err, want)
	}
	if !strings.Contains(printed, "start left\n") || !strings.Contains(printed, "ok    left (") {
		t.Errorf("printed:\n%s", printed)
	}
}

func TestCapacityLimitsWhatRunsAtOnce(t *testing.T) {
	dir := t.TempDir()
	// mkdir fails where the directory is there already: two stages that hold the same thing would meet there.
	alone := func(name, thing string) stage {
		s := shell(name, "cd \""+dir+"\" && mkdir "+thing+" && sleep .05 && rmdir "+thing)
		s.holds = []string{thing}
		return s
	}
	pair := func(name string) stage {
		s := shell(name, "cd \""+dir+"\" && mkdir "+name+" && until [ -d x -a -d y ]; do sleep .01; done")
		s.holds = []string{"cpu"}
		return s
	}
	results, _ := runStages(t, &runner{capacity: map[string]int{"cpu": 2}},
		alone("a", "hosts"), alone("b", "hosts"), alone("c", "hosts"), pair("x"), pair("y"))
	wantStatus(t, results, map[string]status{"a": passed, "b": passed, "c": passed, "x": passed, "y": passed})
}

func TestAFailureStopsOnlyWhatComesAfterIt(t *testing.T) {
	last := shell("down", "true")
	last.last = true
	results, _ := runStages(t, &runner{},
		shell("lint", "echo wrong; exit 3"), shell("after", "true", "lint"), shell("later", "true", "after"), shell("unit", "true"), last)
	wantStatus(t, results, map[string]status{"lint": failed, "after": notRun, "later": notRun, "unit": passed, "down": passed})
	if got, want := results["lint"].reason, "exit status 3"; got != want {
		t.Errorf("lint: %q, want %q", got, want)
	}
	if got, want := results["later"].reason, "after did not pass"; got != want {
		t.Errorf("later: %q, want %q", got, want)
	}
	if got, err := os.ReadFile(results["lint"].log); err != nil || string(got) != "wrong\n" {
		t.Errorf("the log is %q, %v", got, err)
	}
}

func TestACommandThatDoesNotExist(t *testing.T) {
	s := stage{name: "none", command: []string{"/no/such/program"}, limit: time.Minute, nice: true}
	results, _ := runStages(t, &runner{}, s)
	wantStatus(t, results, map[string]status{"none": failed})
	if got := results["none"].reason; !strings.Contains(got, "/no/such/program") {
		t.Errorf("the reason is %q", got)
	}
}

func TestALimitEndsTheWholeGroup(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	s := shell("slow", "sh -c 'echo $$ > \""+pid+"\"; exec sleep 1000'")
	s.limit = 500 * time.Millisecond
	results, _ := runStages(t, &runner{}, s, shell("other", "true"))
	wantStatus(t, results, map[string]status{"slow": failed, "other": passed})
	if got, want := results["slow"].reason, "not finished after its limit of 500ms"; got != want {
		t.Errorf("the reason is %q, want %q", got, want)
	}
	wantGone(t, pid)
}

// wantGone waits until the process with the number in the file has ended.
func wantGone(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

// waitFor cancels when the file is there.
func waitFor(file string, cancel context.CancelFunc) {
	for range 1000 {
		if _, err := os.Stat(file); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
}

func TestAnInterruptStopsAll(t *testing.T) {
	dir := t.TempDir()
	stop, cancel := context.WithCancel(context.Background())
	go waitFor(dir+"/pid", cancel)
	last := shell("down", "true")
	last.last = true
	results, _ := runUntil(t, stop, &runner{},
		shell("one", "cd \""+dir+"\"; echo $$ > new; mv new pid; exec sleep 1000"), shell("two", "sleep 1000"), shell("three", "true", "one"), last)
	wantStatus(t, results, map[string]status{"one": stopped, "two": stopped, "three": stopped, "down": passed})
	wantGone(t, dir+"/pid")
	if got := results["down"]; !labIsDown([]result{results["one"], got}) || labIsDown([]result{results["one"]}) {
		t.Errorf("the lab is down only with a last stage that passed: %v", got)
	}
}

func TestASecondInterruptStopsTheLastStage(t *testing.T) {
	dir := t.TempDir()
	stop, cancel := context.WithCancel(context.Background())
	cancel()
	kill, cancelNow := context.WithCancel(context.Background())
	go waitFor(dir+"/began", cancelNow)
	last := shell("down", "echo > \""+dir+"/began\"; exec sleep 1000")
	last.last = true
	later := shell("later", "true")
	later.last = true
	results, _ := runUntil(t, stop, &runner{kill: kill}, shell("one", "true"), last)
	wantStatus(t, results, map[string]status{"one": stopped, "down": stopped})
	results, _ = runUntil(t, stop, &runner{kill: kill}, later)
	wantStatus(t, results, map[string]status{"later": stopped})
	if labIsDown([]result{results["later"]}) {
		t.Error("the lab is down after a stage that was stopped")
	}
}

func TestASecondInterruptKills(t *testing.T) {
	dir := t.TempDir()
	stop, cancel := context.WithCancel(context.Background())
	kill, cancelNow := context.WithCancel(context.Background())
	go func() {
		waitFor(dir+"/began", cancel)
		waitFor(dir+"/asked", cancelNow)
	}()
	script := "cd \"" + dir + "\"; trap 'echo > asked' TERM; echo $$ > pid; echo > began; while :; do sleep .01; done"
	results, _ := runUntil(t, stop, &runner{kill: kill}, shell("stubborn", script))
	wantStatus(t, results, map[string]status{"stubborn": stopped})
	wantGone(t, dir+"/pid")
}

func TestWhatRunsIsTold(t *testing.T) {
	told := make(chan struct{})
	r := &runner{every: 10 * time.Millisecond}
	ticks := 0
	r.tick = func() {
		if ticks++; ticks == 20 {
			close(told)
		}
	}
	stop, cancel := context.WithCancel(context.Background())
	go func() { <-told; cancel() }()
	_, printed := runUntil(t, stop, r, shell("busy", "echo half way; sleep 1000"))
	if !strings.Contains(printed, "...   busy: half way\n") {
		t.Errorf("printed:\n%s", printed)
	}
}

func TestNiceStagesYield(t *testing.T) {
	s := shell("nice", "sleep .1; nice")
	s.nice = true
	results, _ := runStages(t, &runner{}, s, shell("plain", "nice"))
	own, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"nice": niceness, "plain": 20 - own} { // the system call returns 20 less the value
		if got, err := os.ReadFile(results[name].log); err != nil || strings.TrimSpace(string(got)) != strconv.Itoa(want) {
			t.Errorf("%s has niceness %q, %v; want %d", name, got, err, want)
		}
	}
}

func TestSelectedStages(t *testing.T) {
	all := []stage{shell("a", ""), shell("b", "", "a"), shell("c", ""), shell("d", "", "b")}
	for want, wanted := range map[string][]string{"a b c d": nil, "a b d": {"d"}, "a c": {"c", "a"}} {
		got, err := selectStages(all, wanted)
		if err != nil || strings.Join(stageNames(got), " ") != want {
			t.Errorf("%v selects %v, %v; want %s", wanted, stageNames(got), err, want)
		}
	}
	want := `no stage is named "e"; there are: ` + strings.Join(stageNames(all), " ")
	if _, err := selectStages(all, []string{"e"}); err == nil || err.Error() != want {
		t.Errorf("a stage that does not exist: got %v, want %s", err, want)
	}
}

func TestStagesThatCannotRunAreRefused(t *testing.T) {
	for want, stages := range map[string][]stage{
		"a comes after b": {shell("a", "", "b"), shell("b", "")},
		"named a":         {shell("a", ""), shell("a", "")},
		"no time limit":   {{name: "a"}},
	} {
		if err := validate(stages); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := validate(testRun()); err != nil {
		t.Errorf("the stages of make test: %v", err)
	}
}
