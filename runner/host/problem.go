package host

import (
	"errors"
	"slices"
	"strings"
	"unicode"
)

// Problem says why a host cannot be reached, and how to fix it.
type Problem struct {
	Host string
	What string
	Mend string

	Cause error // may be nil
}

// Error is the problem on one line.
func (p *Problem) Error() string {
	text := p.Host + ": " + p.What
	if p.Mend != "" {
		text += "; " + p.Mend
	}
	return text
}

// Unwrap returns what caused the problem.
func (p *Problem) Unwrap() error { return p.Cause }

// Unanswered returns why a question to a host that we are logged in to has no answer. mend is for a command that ran there and failed.
func Unanswered(h Host, err error, mend string) *Problem {
	p := &Problem{Host: h.String(), What: WithoutAddress(h, err.Error()), Cause: err}
	var limit *LimitError
	var exit *ExitError
	switch {
	case errors.As(err, &limit):
		p.What = "the login works, but the host does not answer: " + limit.Name + ": " + limit.what()
		p.Mend = limit.mend()
	case errors.As(err, &exit):
		p.Mend = mend
	}
	return p
}

// WithoutAddress returns the text of an error about a host without the host's address where a message begins with it already.
func WithoutAddress(h Host, text string) string {
	parts := strings.Split(text, ": ")
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == h.String() }), ": ")
}

// WithoutControls leaves out of what a host printed all that would control a terminal: a host is not trusted with that of whoever reads. Tabs stay.
func WithoutControls(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}
