// Package kube asks the API of a cluster, and changes its nodes and Secrets, through a kubectl that runs somewhere else. It knows no hosts of a
// site and no phases.
package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
)

var (
	// ErrUnexpected says that kubectl printed something else than was asked for.
	ErrUnexpected = errors.New("unexpected output of kubectl")
	// ErrChanged says that an object is not what it was when it was read.
	ErrChanged = errors.New("the object was changed meanwhile")
)

// Kubectl runs kubectl with an input and arguments, and returns what it printed on its standard output. When kubectl itself fails, the error
// is a [*host.ExitError].
type Kubectl func(ctx context.Context, input []byte, args ...string) ([]byte, error)

// Rows are the lines that kubectl prints, divided at tabs, without control characters. Another number of columns is [ErrUnexpected].
func (k Kubectl) Rows(ctx context.Context, columns int, args ...string) (rows [][]string, err error) {
	out, err := k(ctx, nil, args...)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(out)) {
		row := strings.Split(host.WithoutControls(line), "\t")
		if len(row) != columns {
			return nil, fmt.Errorf("kubectl %s: %w: %q", strings.Join(args[:min(len(args), 2)], " "), ErrUnexpected, line)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// modified is what kubectl says of HTTP status 409 for a resourceVersion that is not the newest.
const modified = "the object has been modified"

// changed reports whether kubectl says that an object was changed, made or removed by someone else: the API's reasons Conflict, AlreadyExists
// and NotFound, which kubectl has in its error text only.
func changed(err error) bool {
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	for _, reason := range []string{modified, "(Conflict)", "(AlreadyExists)", "(NotFound)"} {
		if strings.Contains(exit.Stderr, reason) {
			return true
		}
	}
	return false
}
