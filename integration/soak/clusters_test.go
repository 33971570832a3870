package main

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestRareClusters compares the cases with the scenarios of the test that runs them.
func TestRareClusters(t *testing.T) {
	test, err := os.ReadFile("../e2e/rare_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range regexp.MustCompile(`(?m)^\t\t\{"([a-z0-9-]+)", .*harsh\(`).FindAllStringSubmatch(string(test), -1) {
		names = append(names, name[1])
	}
	if got := rareClusters(); !slices.Equal(got, names) {
		t.Errorf("the cases are %q, the scenarios %q", got, names)
	}
}
