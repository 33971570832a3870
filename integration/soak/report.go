package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Report is what a soak found.
type Report struct {
	Commit      string         `json:"commit"`
	BuildKit    string         `json:"buildkit"`
	Kernel      string         `json:"kernel"`
	Go          string         `json:"go"`
	Processors  int            `json:"processors"`
	Started     time.Time      `json:"started"`
	Interrupted bool           `json:"interrupted,omitempty"`
	Matrices    []MatrixReport `json:"matrices"`
}

// MatrixReport is how the cases of a matrix ended.
type MatrixReport struct {
	Name    string    `json:"name"`
	Loaded  bool      `json:"loaded,omitempty"`
	Seed    uint64    `json:"seed"`
	Seconds float64   `json:"seconds"`
	Cases   []Outcome `json:"cases"`
	// NotRun are the names of cases that did not start before the time was over.
	NotRun []string `json:"notRun,omitempty"`
}

// Outcome is how a case ended.
type Outcome struct {
	Name    string  `json:"name"`
	Seed    uint64  `json:"seed,omitempty"`
	Result  Result  `json:"result"`
	Seconds float64 `json:"seconds"`
	Command string  `json:"command"`
	Log     string  `json:"log,omitempty"` // the end of what a failed case printed
}

// Result is how a case ended, in one word.
type Result string

const (
	Passed      Result = "passed"
	Failed      Result = "failed"
	Interrupted Result = "interrupted"
)

// Failures are the cases that failed, by matrix.
func (r *Report) Failures() map[string][]Outcome {
	failures := map[string][]Outcome{}
	for _, m := range r.Matrices {
		for _, c := range m.Cases {
			if c.Result == Failed {
				failures[m.Name] = append(failures[m.Name], c)
			}
		}
	}
	return failures
}

// Write writes report.json and report.md into dir. It replaces existing files atomically.
func (r *Report) Write(dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range map[string]string{"report.json": string(data) + "\n", "report.md": r.Markdown()} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}

// Markdown is the report for people.
func (r *Report) Markdown() string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "# Soak of %s\n\n", r.Started.UTC().Format("2006-01-02 15:04 UTC"))
	if r.Interrupted {
		fmt.Fprint(text, "Interrupted: the report has what ran until then.\n\n")
	}
	fmt.Fprintf(text, "| commit | BuildKit | kernel | Go | processors |\n|---|---|---|---|---|\n| %s | %s | %s | %s | %d |\n\n",
		r.Commit, r.BuildKit, r.Kernel, r.Go, r.Processors)
	fmt.Fprint(text, "| matrix | seed | time | passed | failed | not run |\n|---|---|---|---|---|---|\n")
	for _, m := range r.Matrices {
		count := map[Result]int{}
		for _, c := range m.Cases {
			count[c.Result]++
		}
		name := m.Name
		if m.Loaded {
			name += " (under load)"
		}
		fmt.Fprintf(text, "| %s | %d | %s | %d | %d | %d |\n", name, m.Seed, span(m.Seconds), count[Passed], count[Failed],
			count[Interrupted]+len(m.NotRun))
	}
	for _, m := range r.Matrices {
		m.markdown(text)
	}
	return text.String()
}

func (m MatrixReport) markdown(text *strings.Builder) {
	fmt.Fprintf(text, "\n## %s\n\n| case | result | time |\n|---|---|---|\n", m.Name)
	for _, c := range m.Cases {
		fmt.Fprintf(text, "| %s | %s | %s |\n", cell(c.Name), c.Result, span(c.Seconds))
	}
	for _, name := range m.NotRun {
		fmt.Fprintf(text, "| %s | not run | |\n", cell(name))
	}
	for _, c := range m.Cases {
		if c.Result == Failed {
			fmt.Fprintf(text, "\n### %s failed\n\n%s\n\n%s\n", c.Name, indented(c.Command), indented(c.Log))
		}
	}
}

// cell is a text that stays in its cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// indented returns a code block, which is safe for any text.
func indented(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ")
}

func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Minute {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
