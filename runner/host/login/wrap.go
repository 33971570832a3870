package login

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
)

// enterScript changes to the directory in $1, reads two lists of NAME=VALUE from
// standard input, and becomes the command in the remaining arguments. Names in
// the first list are shell identifiers and are exported; the rest only env(1)
// can set. A POSIX shell's read takes no byte beyond the newline, so the command
// finds its own input next. printf's %b undoes envLine's escapes; the underscore
// keeps trailing newlines.
const enterScript = `cd -- "$1" || exit 127
shift
while IFS= read -r line && [ "$line" != . ]; do value=$(printf '%b_' "$line"); export "${value%_}"; done
while IFS= read -r line && [ "$line" != . ]; do value=$(printf '%b_' "$line"); set -- "${value%_}" "$@"; done
` + host.ExtendPath + `
exec env "$@"`

// pathScript becomes the command in its arguments.
const pathScript = host.ExtendPath + `
exec "$@"`

// runID is the variable by which a command and all its children are found again
// when they have to end: signals of SSH do not reach a root login's commands, nor
// a shell's children.
const runID = "SEALER_RUN_ID"

// endScript terminates the processes whose runID is $1, until there are
// none; for a few seconds it also waits for the first to appear.
const endScript = `seen=
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
  files=$(grep -lsF "` + runID + `=$1" /proc/[0-9]*/environ)
  if [ -z "$files" ] && [ -n "$seen" ]; then break; fi
  for file in $files; do
    seen=1
    pid=${file%/environ}
    kill -TERM "${pid#/proc/}" 2>/dev/null
    kill -CONT "${pid#/proc/}" 2>/dev/null # a stopped one does not hear the first
  done
  sleep 0.2
done
exit 0`

// endCommand is the command that ends the one that was started with id.
func endCommand(id string, root bool) host.Command {
	return host.Command{Argv: []string{"sh", "-c", endScript, "sh", id}, Root: root}
}

// wrap turns cmd into the argv and the input to start on the host. The command
// finds programs in all of the usual directories, whatever the login's PATH is,
// unless it asks for that PATH itself.
// The id, if there is one, marks its processes.
func wrap(cmd host.Command, root privilege, id string) (argv []string, stdin io.Reader, err error) {
	if len(cmd.Argv) == 0 {
		return nil, nil, errors.New("empty command")
	}
	for _, arg := range append([]string{cmd.Dir}, cmd.Argv...) {
		if strings.ContainsRune(arg, 0) {
			return nil, nil, fmt.Errorf("NUL in an argument of %q", cmd.Argv[0])
		}
	}
	var head strings.Builder
	if cmd.Root && root.needed {
		argv = root.argv()
		if root.Password != "" {
			head.WriteString(root.Password.Reveal() + "\n")
		}
	}
	if strings.Contains(cmd.Argv[0], "=") { // env would take it for a variable
		return nil, nil, fmt.Errorf("command name %q contains =", cmd.Argv[0])
	}
	if id != "" {
		argv = append(argv, "env", runID+"="+id)
	}
	switch {
	case cmd.LoginPath:
	case cmd.Dir != "" || len(cmd.Env) > 0:
		if err := writeEnv(&head, cmd.Env); err != nil {
			return nil, nil, err
		}
		dir := cmd.Dir
		if dir == "" {
			dir = "."
		}
		argv = append(argv, "sh", "-c", enterScript, "sh", dir)
	default:
		argv = append(argv, "sh", "-c", pathScript, "sh")
	}
	stdin = cmd.Stdin
	if head.Len() > 0 {
		stdin = strings.NewReader(head.String())
		if cmd.Stdin != nil {
			stdin = io.MultiReader(stdin, cmd.Stdin)
		}
	}
	return append(argv, cmd.Argv...), stdin, nil
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// writeEnv writes the two lists that enterScript reads.
func writeEnv(w *strings.Builder, env map[string]string) error {
	var exported, others []string
	for _, key := range slices.Sorted(maps.Keys(env)) {
		value := env[key]
		switch {
		case key == "" || key[0] == '-' || strings.ContainsAny(key, "=\n\x00") || strings.ContainsRune(value, 0):
			// The value stays out of the message: it may be a secret.
			return fmt.Errorf("environment variable %q: not a name and value that a process can have", key)
		case identifier.MatchString(key):
			exported = append(exported, envLine(key, value))
		default:
			others = append(others, envLine(key, value))
		}
	}
	for _, list := range [][]string{exported, others} {
		for _, line := range list {
			w.WriteString(line)
		}
		w.WriteString(".\n")
	}
	return nil
}

// envLine writes one variable on one line, escaped for printf's %b.
func envLine(key, value string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(key+"="+value) + "\n"
}
