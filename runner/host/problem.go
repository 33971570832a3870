package host

// Problem says why a host cannot be reached, and how to fix it.
type Problem struct {
	Host string
	What string
	Mend string

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
