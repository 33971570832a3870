package execute

import (
	"strings"

	"github.com/kubefile/kubefile/runner/host"
)

// failure is an error about one host. Its first line begins with the host's address, and has it there only; lines that follow are about
// something of their own.
type failure struct {
	text string
	err  error
}

// Failure returns the error for a host on which what was tried failed; what may be empty.
func (m *Member) Failure(what string, err error) error {
	first, rest, more := strings.Cut(err.Error(), "\n")
	text := m.String() + ": "
	if what != "" {
		text += what + ": "
	}
	text += host.WithoutAddress(m.Host, first)
	if more {
		text += "\n" + rest
	}
	return &failure{text, err}
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }
