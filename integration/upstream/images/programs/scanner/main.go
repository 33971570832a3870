// Command scanner is the lab's stand-in for BuildKit's SBOM scanner: for every directory that it is given it writes an SPDX 2.3
// document that lists the files with their digests, as the protocol of BuildKit wants it
// (https://github.com/moby/buildkit/blob/master/docs/attestations/sbom-protocol.md).
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Getenv("BUILDKIT_SCAN_SOURCE"), os.Getenv("BUILDKIT_SCAN_SOURCE_EXTRAS"), os.Getenv("BUILDKIT_SCAN_DESTINATION")); err != nil {
		log.Fatal(err)
	}
}

func run(source, extras, destination string) error {
	if source == "" || destination == "" {
		return errors.New("BUILDKIT_SCAN_SOURCE and BUILDKIT_SCAN_DESTINATION say what to scan and where to write")
	}
	directories := []string{source}
	if extras != "" {
		more, err := filepath.Glob(filepath.Join(extras, "*"))
		if err != nil {
			return err
		}
		directories = append(directories, more...)
	}
	for _, dir := range directories {
		document, err := scan(dir)
		if err != nil {
			return fmt.Errorf("scanning %s: %w", dir, err)
		}
		statement := map[string]any{
			"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document", "predicate": document,
		}
		data, err := json.Marshal(statement)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(destination, filepath.Base(dir)+".spdx.json"), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

type document struct {
	Version       string         `json:"spdxVersion"`
	License       string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Files         []file         `json:"files"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type file struct {
	ID        string     `json:"SPDXID"`
	Name      string     `json:"fileName"`
	Checksums []checksum `json:"checksums"`
	License   string     `json:"licenseConcluded"`
	Copyright string     `json:"copyrightText"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Related string `json:"relatedSpdxElement"`
	Type    string `json:"relationshipType"`
}

// scan lists the regular files below dir.
func scan(dir string) (*document, error) {
	const id = "SPDXRef-DOCUMENT"
	doc := &document{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: id, Name: filepath.Base(dir),
		Namespace: "https://example.com/spdx/" + filepath.Base(dir),
		Creation:  creation{Created: "1970-01-01T00:00:00Z", Creators: []string{"Tool: kubefile-lab-scanner"}},
		Files:     []file{}, Relationships: []relationship{},
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		hash, err := sum(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f := file{ID: fmt.Sprintf("SPDXRef-File-%d", len(doc.Files)), Name: name, License: "NOASSERTION", Copyright: "NOASSERTION",
			Checksums: []checksum{{Algorithm: "SHA256", Value: hash}}}
		doc.Files = append(doc.Files, f)
		doc.Relationships = append(doc.Relationships, relationship{Element: id, Related: f.ID, Type: "DESCRIBES"})
		return nil
	})
	return doc, err
}

func sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
