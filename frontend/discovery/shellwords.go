package discovery

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// maxFields bounds the words that one word expands to: braces and patterns make many of one.
const maxFields = 1000

var errUnknown = errors.New("not known before it runs")

// Get implements [expand.Environ].
func (sc *scope) Get(name string) expand.Variable {
	str := func(value string) expand.Variable {
		return expand.Variable{Set: true, Kind: expand.String, Str: value}
	}
	if v, ok := sc.variables[name]; ok {
		return v
	}
	switch name {
	case "PWD":
		return str("/" + strings.TrimPrefix(sc.dir, "."))
	case "HOME":
		return str("/root")
	case "BASH_SOURCE":
		return expand.Variable{Set: true, Kind: expand.Indexed, List: sc.params[:min(1, len(sc.params))]}
	case "@", "*":
		return expand.Variable{Set: true, Kind: expand.Indexed, List: sc.params[min(1, len(sc.params)):]}
	case "#":
		return str(strconv.Itoa(max(0, len(sc.params)-1)))
	case "?", "$", "!", "-", "LINENO":
		return str("0")
	case "IFS":
		return str(" \t\n")
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < len(sc.params) {
		return str(sc.params[n])
	}
	return expand.Variable{}
}

// Each implements [expand.Environ].
func (sc *scope) Each(visit func(name string, v expand.Variable) bool) {
	for name, v := range sc.variables {
		if !visit(name, v) {
			return
		}
	}
}

// expanding calls f with a configuration in which variables that are not known expand to themselves.
func (s *shell) expanding(sc *scope, f func(*expand.Config) error) error {
	inner := sc.fork()
	config := &expand.Config{
		Env: inner, NoUnset: true,
		CmdSubst: func(w io.Writer, sub *syntax.CmdSubst) error {
			out, ok := s.capture(sc.fork(), sub.Stmts)
			if !ok {
				s.all(sc.fork(), sub.Stmts)
				return errUnknown
			}
			_, err := io.WriteString(w, out)
			return err
		},
		ReadDir2: func(name string) ([]fs.DirEntry, error) { return fs.ReadDir(s.fsys, within("", name)) },
	}
	for range maxShellDepth {
		err := f(config)
		var unset expand.UnsetParameterError
		if !errors.As(err, &unset) || unset.Node == nil || unset.Node.Param == nil {
			return err
		}
		name := unset.Node.Param.Value
		if inner.Get(name).Set {
			return err
		}
		inner.set(name, "${"+name+"}")
	}
	return errUnknown
}

// computed reports whether a word has what is not expanded: arithmetic with what is not known, processes, and what the library expands
// otherwise than a shell.
func (s *shell) computed(sc *scope, n syntax.Node) bool {
	found := false
	syntax.Walk(n, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ProcSubst:
			found = true
		case *syntax.ArithmExp:
			found = found || len(counters(n.X)) > 0 || !s.calculable(sc, n.X)
		case *syntax.ParamExp:
			found = found || !s.located(sc, n)
			// ${a/#b/c} and ${a/%b/c}, which the library takes for ${a/b/c} of the text "#b"
			if n.Repl != nil && n.Repl.Orig != nil && len(n.Repl.Orig.Parts) > 0 {
				first, ok := n.Repl.Orig.Parts[0].(*syntax.Lit)
				found = found || ok && (strings.HasPrefix(first.Value, "#") || strings.HasPrefix(first.Value, "%"))
			}
		}
		return !found
	})
	return found
}

// word expands a word that is not split; if it cannot be, it stays as it is written.
func (s *shell) word(sc *scope, w *syntax.Word) (string, bool) {
	return s.one(sc, w, expand.Literal)
}

// text expands a here-document.
func (s *shell) text(sc *scope, w *syntax.Word) (string, bool) {
	return s.one(sc, w, expand.Document)
}

func (s *shell) one(sc *scope, w *syntax.Word, expanded func(*expand.Config, *syntax.Word) (string, error)) (string, bool) {
	if w == nil {
		return "", true
	}
	var value string
	err := errUnknown
	if !s.computed(sc, w) {
		err = s.expanding(sc, func(config *expand.Config) (err error) {
			value, err = expanded(config, w)
			return err
		})
	}
	if err != nil || len(value) > maxShellText {
		return sc.source(w), false
	}
	return value, true
}

// source returns a node as it is written.
func (sc *scope) source(n syntax.Node) string {
	from, to := int(n.Pos().Offset()), int(n.End().Offset())
	if from > to || to > len(sc.text) {
		return ""
	}
	return sc.text[from:to]
}

// fields expands words as the shell does before it runs a command.
func (s *shell) fields(sc *scope, words []*syntax.Word) []string {
	var all []string
	for _, w := range words {
		var fields []string
		err := errUnknown
		if !s.computed(sc, w) {
			err = s.expanding(sc, func(config *expand.Config) error {
				fields = fields[:0]
				size := 0
				for field, err := range expand.FieldsSeq(config, w) {
					if size += len(field); err != nil || size > maxShellText || len(fields) >= maxFields {
						return errors.Join(err, errUnknown)
					}
					fields = append(fields, field)
				}
				return nil
			})
		}
		if err != nil {
			fields = []string{sc.source(w)}
		}
		all = append(all, fields...)
	}
	return all
}

// capture returns what statements print, if they are of the few programs whose output follows from their words.
func (s *shell) capture(sc *scope, statements []*syntax.Stmt) (string, bool) {
	var out strings.Builder
	for _, st := range statements {
		if s.steps--; s.steps < 0 || st == nil {
			return "", false
		}
		if and, ok := st.Cmd.(*syntax.BinaryCmd); ok && and.Op == syntax.AndStmt {
			text, ok := s.capture(sc, []*syntax.Stmt{and.X, and.Y})
			if !ok {
				return "", false
			}
			out.WriteString(text)
			continue
		}
		call, ok := st.Cmd.(*syntax.CallExpr)
		if !ok || len(call.Args) == 0 {
			return "", false
		}
		input, _ := s.redirects(sc, st, "")
		text, ok := s.output(sc, s.fields(sc, call.Args), input)
		if !ok || out.Len()+len(text) > maxShellText {
			return "", false
		}
		out.WriteString(text)
	}
	return out.String(), true
}

// output returns what a program prints.
func (s *shell) output(sc *scope, words []string, input string) (string, bool) {
	if len(words) == 0 {
		return "", false
	}
	args := words[1:]
	switch words[0] {
	case "cd":
		sc.dir = changed(sc.dir, args)
		return "", true
	case "pwd":
		return sc.Get("PWD").Str + "\n", true
	case "echo":
		if len(args) > 0 && (args[0] == "-n" || args[0] == "-e") {
			args = args[1:]
		}
		return strings.Join(args, " ") + "\n", true
	case "printf":
		return printed(args)
	case "seq":
		return sequence(args)
	case "expr":
		return sum(args)
	case "dirname", "readlink", "realpath":
		if len(args) == 0 {
			return "", false
		}
		last := args[len(args)-1]
		if words[0] == "dirname" {
			last = path.Dir(last)
		}
		return last + "\n", true
	case "basename":
		if len(args) == 0 {
			return "", false
		}
		name := path.Base(args[0])
		if len(args) > 1 {
			name = strings.TrimSuffix(name, args[1])
		}
		return name + "\n", true
	case "cat":
		if len(args) == 0 {
			return input, true
		}
		var all strings.Builder
		for _, name := range args {
			text, ok := s.read(within(sc.dir, name))
			if !ok || all.Len()+len(text) > maxShellText {
				return "", false
			}
			all.WriteString(text)
		}
		return all.String(), true
	}
	return "", false
}

// printed returns what printf prints, if its format has nothing but %s and line ends.
func printed(args []string) (string, bool) {
	if len(args) == 0 {
		return "", false
	}
	if args[0] == "--" && len(args) > 1 {
		args = args[1:]
	}
	format := strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(args[0])
	parts := strings.Split(strings.ReplaceAll(format, "%b", "%s"), "%s")
	if strings.ContainsAny(strings.Join(parts, ""), `%\`) {
		return "", false
	}
	var out strings.Builder
	for args = args[1:]; ; {
		for i, part := range parts {
			if i > 0 && len(args) > 0 {
				out.WriteString(args[0])
				args = args[1:]
			}
			out.WriteString(part)
		}
		if len(args) == 0 || len(parts) == 1 {
			return out.String(), out.Len() <= maxShellText
		}
	}
}

// changed is the directory after "cd".
func changed(dir string, args []string) string {
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") || strings.Contains(arg, "$") || arg == "" {
			continue
		}
		return within(dir, arg)
	}
	return dir
}
