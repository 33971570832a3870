package chart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/opencontainers/go-digest"
	"sigs.k8s.io/yaml"
)

// entry is one version of a chart in the index of a Helm repository (https://helm.sh/docs/topics/chart_repository/#the-index-file). Helm's
// own library for repositories includes a plugin runtime, which is twice the size of the rest of this program.
type entry struct {
	Version string   `json:"version"`
	URLs    []string `json:"urls"`
	Digest  string   `json:"digest"`
}

// fromRepository fetches a chart from https://REPOSITORY/CHART@VERSION. Without a version, or with a range, it is the newest that fits.
func (f *fetcher) fromRepository(ctx context.Context, source string) error {
	address, version, _ := strings.Cut(source, "@")
	slash := strings.LastIndex(address, "/")
	name := address[slash+1:]
	repository, err := url.Parse(address[:slash])
	if err != nil || repository.Host == "" || name == "" {
		return errors.New("write helm://REPOSITORY/CHART@VERSION")
	}
	index, err := f.index(ctx, repository)
	if err != nil {
		return err
	}
	found, err := choose(index[name], version)
	if err != nil {
		return fmt.Errorf("chart %s in %s: %w", name, repository.Redacted(), err)
	}
	if len(found.URLs) == 0 {
		return fmt.Errorf("chart %s %s in %s has no URL", name, found.Version, repository.Redacted())
	}
	if rest, ok := strings.CutPrefix(found.URLs[0], "oci://"); ok {
		return f.fromRegistry(ctx, rest)
	}
	at, err := repository.JoinPath("/").Parse(found.URLs[0])
	if err != nil {
		return err
	}
	body, err := f.get(ctx, at.String())
	if err != nil {
		return err
	}
	defer body.Close()
	var digests []digest.Digest
	if found.Digest != "" {
		digests = append(digests, digest.NewDigestFromEncoded(digest.SHA256, strings.TrimPrefix(found.Digest, "sha256:")))
	}
	return f.save(name+"-"+found.Version+".tgz", body, digests...)
}

func (f *fetcher) index(ctx context.Context, repository *url.URL) (map[string][]entry, error) {
	at := repository.JoinPath("index.yaml").String()
	body, err := f.get(ctx, at)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	dt, err := io.ReadAll(io.LimitReader(body, maxIndex+1))
	if err != nil {
		return nil, err
	}
	if len(dt) > maxIndex {
		return nil, fmt.Errorf("%s is larger than %d bytes", at, maxIndex)
	}
	var index struct {
		Entries map[string][]entry `json:"entries"`
	}
	if err := yaml.Unmarshal(dt, &index); err != nil {
		return nil, fmt.Errorf("reading %s: %w", at, err)
	}
	return index.Entries, nil
}

// choose returns the requested version, which may be a range, or the newest version that is not a pre-release.
func choose(entries []entry, version string) (*entry, error) {
	if len(entries) == 0 {
		return nil, errors.New("not found in the repository")
	}
	var best *entry
	var newest *semver.Version
	constraint, rangeErr := semver.NewConstraint(version)
	if version == "" {
		constraint, rangeErr = semver.NewConstraint("*")
	}
	for i, e := range entries {
		if e.Version == version {
			return &entries[i], nil
		}
		v, err := semver.NewVersion(e.Version)
		if err != nil || rangeErr != nil || !constraint.Check(v) {
			continue
		}
		if best == nil || v.GreaterThan(newest) {
			best, newest = &entries[i], v
		}
	}
	if best == nil {
		return nil, fmt.Errorf("version %s not found", version)
	}
	return best, nil
}
