package registryproxy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readAll(t *testing.T, dir, name string) []Record {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := ReadRecords(f)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestRecordsSurviveADamagedFile(t *testing.T) {
	dir := t.TempDir()
	damaged := `{"time":"2026-01-02T03:04:05Z","reference":"quay.io/a:1"}` + "\n\nnot JSON\n" + strings.Repeat("x", 3*maxRecordSize) +
		"\n{\"reference\":\"\"}\n" + `{"time":"2026-01-02T03:04:05Z","reference":"quay.io/b:1"}` + "\n" + `{"time":"2026-01-02T03`
	if err := os.WriteFile(filepath.Join(dir, MissedFile), []byte(damaged), 0o644); err != nil {
		t.Fatal(err)
	}
	records, err := OpenRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, reference := range []string{"quay.io/a:1", "quay.io/b:1", "quay.io/c:1"} {
		if err := records.add(MissedFile, Record{Reference: reference}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, record := range readAll(t, dir, MissedFile) {
		got = append(got, record.Reference)
	}
	if want := "quay.io/a:1 quay.io/b:1 quay.io/c:1"; strings.Join(got, " ") != want {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

func TestSameReferenceWithAnotherDigestIsAnotherRecord(t *testing.T) {
	dir := t.TempDir()
	records, err := OpenRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, digest := range []string{"sha256:1", "sha256:2", "sha256:1"} {
		if err := records.add(ServedFile, Record{Reference: "quay.io/a:1", Digest: digest}); err != nil {
			t.Fatal(err)
		}
	}
	if got := readAll(t, dir, ServedFile); len(got) != 2 || got[0].Digest != "sha256:1" || got[1].Digest != "sha256:2" {
		t.Errorf("recorded %+v", got)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	dir := t.TempDir()
	var full strings.Builder
	for i := range maxRecords - 1 {
		fmt.Fprintf(&full, "{\"reference\":\"quay.io/a:%d\"}\n", i)
	}
	if err := os.WriteFile(filepath.Join(dir, MissedFile), []byte(full.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	records, err := OpenRecords(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := records.add(MissedFile, Record{Reference: fmt.Sprintf("quay.io/b:%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := readAll(t, dir, MissedFile); len(got) != maxRecords || got[maxRecords-1].Reference != "quay.io/b:0" {
		t.Errorf("%d records, the last is %+v", len(got), got[len(got)-1])
	}
}
