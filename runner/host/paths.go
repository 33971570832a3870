package host

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"fmt"
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
	Unknown     PathState = "unknown" // the host has no program that can try
)

// Path is a connection from one host to a port of another.
type Path struct {
	To    netip.AddrPort
	State PathState
}

//go:embed paths.sh
var pathsScript string

const (
	// pathBatch is how many connections paths.sh tries at once, and pathSeconds how long at most.
	pathBatch   = 32
	pathSeconds = 5
)

// TryPaths tries to connect from a host to others, and changes nothing. It returns one path for each target.
func TryPaths(ctx context.Context, conn Conn, targets []netip.AddrPort) ([]Path, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	argv := []string{"sh", "-c", pathsScript, "sh"}
	for _, t := range targets {
		argv = append(argv, t.Addr().String()+","+strconv.Itoa(int(t.Port())))
	}
	limit := time.Duration(len(targets)/pathBatch+1)*pathSeconds*time.Second + AskLimit
	out, err := Output(ctx, conn, Command{Argv: argv, Name: "trying connections", Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("trying connections to other hosts: %w", err)
	}
	return parsePaths(out, targets), nil
}

// parsePaths reads what paths.sh prints. A target of which nothing is printed is unknown.
func parsePaths(out []byte, targets []netip.AddrPort) []Path {
	states := map[netip.AddrPort]PathState{}
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
		switch state := PathState(words[2]); state {
		case Open, Refused, Timeout, Unreachable:
			states[netip.AddrPortFrom(address, uint16(port))] = state
		}
	}
	paths := make([]Path, len(targets))
	for i, t := range targets {
		paths[i] = Path{To: t, State: Unknown}
		if state, there := states[t]; there {
			paths[i].State = state
		}
	}
	return paths
}
