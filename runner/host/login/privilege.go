package login

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
)

// ErrNoSudo says that a login can not become root.
var ErrNoSudo = errors.New("cannot become root")

// privilege says how a login becomes root.
type privilege struct {
	needed   bool        // the login is not root
	Password host.Secret // empty: sudo asks for none
}

// argv returns what to put before a command to run it as root. With a password,
// -k makes sudo ask for it even when it remembers one: it must read exactly one
// line of our input, always.
func (p privilege) argv() []string {
	switch {
	case !p.needed:
		return nil
	case p.Password == "":
		return []string{"sudo", "-n", "--"}
	default:
		return []string{"sudo", "-k", "-S", "-p", "", "--"}
	}
}

// findPrivilege finds out how conn's login becomes root, without changing
// anything on the host.
func findPrivilege(ctx context.Context, conn host.Conn) (privilege, error) {
	h := conn.Host()
	id, err := askID(ctx, conn)
	if err != nil {
		return privilege{}, err
	}
	if id == 0 {
		return privilege{}, nil
	}
	err = conn.Run(ctx, host.Command{Argv: []string{"sudo", "-k", "-n", "--", "true"}})
	if err == nil {
		return privilege{needed: true}, nil
	}
	var exit *host.ExitError
	if !errors.As(err, &exit) && !errors.Is(err, exec.ErrNotFound) {
		return privilege{}, host.Unanswered(h, err, "")
	}
	if exit == nil || exit.Code == 127 {
		return privilege{}, noSudo(h, "is not root, and there is no sudo", "log in as root (-u root), or install sudo")
	}
	root := privilege{needed: true, Password: sudoPassword(h.Auth)}
	if root.Password == "" {
		return privilege{}, noSudo(h, "is not root, and sudo requires a password", "give it with -p, or allow NOPASSWD in the host's sudoers")
	}
	argv, stdin, err := wrap(host.Command{Argv: []string{"true"}, Root: true}, root, "")
	if err != nil {
		return privilege{}, err
	}
	err = conn.Run(ctx, host.Command{Argv: argv, Stdin: stdin})
	switch {
	case err == nil:
		return root, nil
	case errors.As(err, &exit):
		return privilege{}, noSudo(h, "is not root, and sudo refused the password ("+host.WithoutAddress(h, err.Error())+")",
			"check -p, and that the host's sudoers lets this user run every command")
	}
	return privilege{}, host.Unanswered(h, err, "")
}

// askID asks for the number of the login's user. A profile may print something before it.
func askID(ctx context.Context, conn host.Conn) (int, error) {
	h := conn.Host()
	out, err := host.Output(ctx, conn, host.Command{Argv: []string{"id", "-u"}})
	if err != nil {
		return 0, host.Unanswered(h, err, "the login needs a POSIX shell that runs commands")
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	id, err := strconv.Atoi(lines[len(lines)-1])
	if err != nil {
		return 0, &host.Problem{Host: h.String(), What: "id -u printed no number", Mend: "the login needs a POSIX shell that runs commands", Cause: err}
	}
	return id, nil
}

func noSudo(h host.Host, what, mend string) error {
	return &host.Problem{Host: h.String(), What: "the login " + user(h.Auth) + " " + what, Mend: mend, Cause: ErrNoSudo}
}
