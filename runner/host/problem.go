package host

import "errors"

// Problem is one thing that is wrong with one host, and how to mend it.
type Problem struct {
	Host    string `json:"host"`
	What    string `json:"what"`
	Mend    string `json:"mend,omitempty"`
	Warning bool   `json:"warning,omitempty"` // the cluster comes up all the same

	cause error
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
func (p *Problem) Unwrap() error { return p.cause }

// Problems is everything that is wrong with all hosts.
type Problems []Problem

// Err returns the problems that are not warnings as one error, a line each, or
// nil when there is none.
func (ps Problems) Err() error {
	var errs []error
	for _, p := range ps {
		if !p.Warning {
			errs = append(errs, &p)
		}
	}
	return errors.Join(errs...)
}
