package discovery

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/kubefile/kubefile/imagespec"
)

// Lines returns the certain and strong references, each once, sorted.
func (r *Result) Lines() []string {
	var lines []string
	for _, f := range r.Findings {
		if f.Class == imagespec.ClassCertain || f.Class == imagespec.ClassStrong {
			lines = append(lines, f.Reference)
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// Write prints the findings: "lines" is one certain or strong reference a line, "table" also shows where and why, "json" has everything.
func (r *Result) Write(w io.Writer, format string) error {
	switch format {
	case "lines":
		for _, line := range r.Lines() {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
		return nil
	case "table":
		return writeTable(w, r.Findings)
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	return fmt.Errorf("unknown format %q: lines, table or json", format)
}

// Why prints what led to a reference, and fails if nothing did.
func (r *Result) Why(w io.Writer, written string) error {
	ref, err := imagespec.ParseReference(written)
	if err != nil {
		return err
	}
	var findings []Finding
	for _, f := range r.Findings {
		if f.Reference == ref.String() {
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 {
		return fmt.Errorf("%s was not found", ref)
	}
	return writeTable(w, findings)
}

func writeTable(w io.Writer, findings []Finding) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REFERENCE\tCLASS\tRULE\tWHERE\tTHROUGH")
	for _, f := range findings {
		where := f.File
		if f.Line > 0 {
			where = fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", f.Reference, f.Class, f.Rule, where, strings.Join(f.Chain, " > "))
	}
	return table.Flush()
}
