package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestModulesAreFetchedWhileToolsAreBuilt: what fails to download is left to the build, and no download outlasts the run.
func TestModulesAreFetchedWhileToolsAreBuilt(t *testing.T) {
	cache, out := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var fetched []string
		fetching := func(tool tool, takes time.Duration, err error) tool {
			tool.fetch = func(ctx context.Context) error {
				select {
				case <-ctx.Done():
					fetched = append(fetched, tool.name+" ended after "+time.Since(began).String())
					return ctx.Err()
				case <-time.After(takes):
					fetched = append(fetched, tool.name+" after "+time.Since(began).String())
					return err
				}
			}
			return tool
		}
		chosen := []tool{
			fetching(lasting("first", 10*time.Second), time.Second, nil), // its build downloads
			lasting("plain", time.Second),
			fetching(lasting("second", time.Second), 3*time.Second, errors.New("no network")),
			fetching(lasting("third", time.Second), time.Hour, nil),
		}
		report := &progress{out: &bytes.Buffer{}, total: len(chosen)}
		if err := install(t.Context(), cache, out, chosen, report); err != nil {
			t.Fatal(err)
		}
		if want := []string{"second after 3s", "third ended after 13s"}; !slices.Equal(fetched, want) {
			t.Errorf("got %q, want %q", fetched, want)
		}
	})
}
