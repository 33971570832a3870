package host

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// PathState is what becomes of a connection.
type PathState string

// What becomes of a connection. Before anything is installed no port is open, and a refusal shows that the packets arrive.
const (
	Open        PathState = "open"
	Refused     PathState = "refused"
	Timeout     PathState = "timeout"
	Unreachable PathState = "unreachable"
	Unknown     PathState = "unknown"

	// untried is what paths.sh says where no program can try.
	untried PathState = "untried"
)

// Path is a connection from one host to a port of another.
type Path struct {
	To    netip.AddrPort
	State PathState
	Why   string // the state is not known; empty where the host has no program that can try
}

//go:embed paths.sh
var pathsScript string

const (
	// pathBatch is how many connections paths.sh tries at once, and pathSeconds how long at most.
	pathBatch   = 32
	pathSeconds = 5
)

// TryPaths tries to connect from a host to others, and changes nothing. It returns one path for each target; where the host gives no answer,
// that is why they are not known. An error is for a connection to the host that was lost.
func TryPaths(ctx context.Context, conn Conn, targets []netip.AddrPort) ([]Path, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	argv := []string{"sh", "-c", pathsScript, "sh"}
	for _, t := range targets {
		argv = append(argv, t.Addr().String()+","+strconv.Itoa(int(t.Port())))
	}
	limit := time.Duration(len(targets)/pathBatch+1)*pathSeconds*time.Second + AskLimit
	out, err := Output(ctx, conn, Command{Argv: argv, Name: "trying connections to other hosts", ReadOnly: true, Limit: limit})
	var hung *LimitError
	var failed *ExitError
	switch {
	case errors.As(err, &hung):
		return unknownPaths(targets, "the attempt "+hung.what()), nil
	case errors.As(err, &failed):
		return unknownPaths(targets, WithoutAddress(conn.Host(), err.Error())), nil
	case err != nil:
		return nil, Unanswered(conn.Host(), err, "")
	}
	return parsePaths(out, targets), nil
}

// unknownPaths are paths to all targets of which nothing is known.
func unknownPaths(targets []netip.AddrPort, why string) (paths []Path) {
	for _, to := range targets {
		paths = append(paths, Path{To: to, State: Unknown, Why: why})
	}
	return paths
}

// parsePaths reads what paths.sh prints. A target of which nothing is printed is unknown.
func parsePaths(out []byte, targets []netip.AddrPort) []Path {
	paths := unknownPaths(targets, "its answer breaks off")
	scanner := bufio.NewScanner(bytes.NewReader(out))
	for scanner.Scan() {
		key, value, _ := strings.Cut(scanner.Text(), "\t")
		words := strings.Fields(value)
		if key != "path" || len(words) != 3 {
			continue
		}
		address, err := netip.ParseAddr(words[0])
		port, invalid := strconv.ParseUint(words[1], 10, 16)
		if err != nil || invalid != nil {
			continue
		}
		to := netip.AddrPortFrom(address, uint16(port))
		for i := range paths {
			if paths[i].To == to {
				paths[i] = parsePath(to, PathState(words[2]))
			}
		}
	}
	return paths
}

func parsePath(to netip.AddrPort, state PathState) Path {
	switch state {
	case Open, Refused, Timeout, Unreachable:
		return Path{To: to, State: state}
	case untried:
		return Path{To: to, State: Unknown}
	}
	return Path{To: to, State: Unknown, Why: "the answer of its system is not understood"}
}
