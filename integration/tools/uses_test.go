package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// started lists the files in which a target starts tools, relative to the root of the repository, and targets whose files it runs, too.
func started() map[string][]string {
	return map[string][]string{
		"lint":         {"integration/repository/lint.sh"},
		"kubeadm":      {"runner/kubeadm/kubeadm_test.go"},
		"frontend":     {"frontend/image.sh"},
		"up":           {"frontend", "integration/lab/*.go", "integration/upstream/images/definitions.go"},
		"demo":         {"up", "integration/upstream/images/cluster.go", "integration/lab/examples.sh", "integration/demo/*.sh"},
		"bench":        {"demo", "integration/bench/*.sh"},
		"release-test": {"demo", "integration/release/*.go"},
		"e2e":          {"demo", "integration/e2e/*.go"},
		"integration":  {"demo", "integration/build/*.go"},
		"soak":         {"integration"},
		"test":         {"lint", "e2e", "integration"},
	}
}

// TestToolsOfTargets compares the tools that the Makefile declares for a target with those that its files start, in both directions.
func TestToolsOfTargets(t *testing.T) {
	all, err := tools(".")
	if err != nil {
		t.Fatal(err)
	}
	declared := declaredTools(t)
	for target := range started() {
		if declared[target] == nil {
			t.Errorf("the Makefile has no uses.%s", target)
		}
	}
	for target, names := range declared {
		chosen, err := choose(all, names)
		if err != nil {
			t.Errorf("uses.%s: %v", target, err)
			continue
		}
		used := usedTools(t, all, target)
		for _, one := range all {
			isDeclared := slices.Contains(toolNames(chosen), one.name)
			if used[one.name] != "" && !isDeclared {
				t.Errorf("uses.%s lacks %s, which %s starts", target, one.name, used[one.name])
			}
			if used[one.name] == "" && isDeclared && !foreignToolbox(one.name) {
				t.Errorf("uses.%s has %s, which none of the target's files starts", target, one.name)
			}
		}
	}
}

// TestTargetsThatStartTheLab: a target without a list of its own would compile every tool.
func TestTargetsThatStartTheLab(t *testing.T) {
	declared := declaredTools(t)
	makefile := readFile(t, "Makefile")
	rules := regexp.MustCompile(`(?m)^([a-z0-9-]+):([^=#\n]*)`).FindAllStringSubmatch(makefile, -1)
	if len(rules) < 20 {
		t.Fatalf("the Makefile has %d rules", len(rules))
	}
	for _, rule := range rules {
		for _, prerequisite := range strings.Fields(rule[2]) {
			if slices.Contains([]string{"tools", "frontend", "up"}, prerequisite) && declared[rule[1]] == nil {
				t.Errorf("the target %s needs %s, and the Makefile has no uses.%[1]s", rule[1], prerequisite)
			}
		}
	}
}

// declaredTools returns the lists of tools of the Makefile, by target.
func declaredTools(t *testing.T) map[string][]string {
	t.Helper()
	variables := map[string]string{"shell go env GOHOSTARCH": runtime.GOARCH}
	for _, line := range regexp.MustCompile(`(?m)^([\w.-]+) :?= *(.*)$`).FindAllStringSubmatch(readFile(t, "Makefile"), -1) {
		variables[line[1]] = line[2]
	}
	innermost := regexp.MustCompile(`\$\([^$()]*\)`)
	expand := func(text string) string {
		for range 20 {
			text = innermost.ReplaceAllStringFunc(text, func(reference string) string {
				name := strings.Trim(reference, "$()")
				if arguments, ok := strings.CutPrefix(name, "call TOOLBOX,"); ok {
					return strings.ReplaceAll(variables["TOOLBOX"], "$(1)", arguments)
				}
				if arguments, ok := strings.CutPrefix(name, "sort "); ok {
					return arguments
				}
				return variables[name]
			})
		}
		return text
	}
	lists := map[string][]string{}
	for name, value := range variables {
		if target, ok := strings.CutPrefix(name, "uses."); ok {
			lists[target] = strings.Fields(expand(value))
		}
	}
	if !slices.Contains(lists["demo"], "busybox-"+runtime.GOARCH) || !slices.Contains(lists["demo"], "kubeadm") {
		t.Fatalf("the Makefile's lists are not read: uses.demo is %q", lists["demo"])
	}
	return lists
}

// usedTools returns the tools that the files of a target start, with one such file.
func usedTools(t *testing.T, all []tool, target string) map[string]string {
	t.Helper()
	used := map[string]string{}
	for _, pattern := range started()[target] {
		if started()[pattern] != nil {
			for name, file := range usedTools(t, all, pattern) {
				used[name] = file
			}
			continue
		}
		files, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("make %s: no files %s, %v", target, pattern, err)
		}
		for _, file := range files {
			for _, word := range startedIn(readFile(t, strings.TrimPrefix(file, "../../"))) {
				for _, one := range all {
					if slices.Contains(one.binaries, word) {
						used[one.name] = file
					}
				}
			}
		}
	}
	if slices.Contains(started()[target], "integration/lab/*.go") {
		delete(used, "buildkitd-v0.17") // the lab starts it only if it is compiled
	}
	return used
}

// startedIn returns the words of a file that are the name of a program where it is started: a Go string that is the name or begins with it
// as a command does, and in scripts what comes after the directory of the tools, or a line of examples.sh's place.
func startedIn(text string) []string {
	var words []string
	for _, match := range regexp.MustCompile("[\"`]([a-z0-9][a-z0-9.-]*)[\"` ]").FindAllStringSubmatch(text, -1) {
		words = append(words, match[1])
	}
	for _, match := range regexp.MustCompile(`(?:_out/bin|\$LAB_BIN|\$tools)/([a-z0-9.-]+)`).FindAllStringSubmatch(text, -1) {
		words = append(words, match[1], match[1]+runtime.GOARCH)
	}
	if strings.Contains(text, "lab.OldBuild") {
		words = append(words, "buildkitd-v0.17")
	}
	for _, match := range regexp.MustCompile(`(?m)^ *place (.*)$`).FindAllStringSubmatch(text, -1) {
		words = append(words, strings.Fields(match[1])...)
	}
	return words
}

// foreignToolbox reports whether the tool is of the toolbox of another architecture: the script that uses it gets its name as an argument.
func foreignToolbox(name string) bool {
	program, arch, ok := strings.Cut(name, "-")
	return ok && (program == "busybox" || program == "bash") && arch != runtime.GOARCH
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
