package discovery

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// simple follows one program with its words.
func (s *shell) simple(sc *scope, cmd *syntax.CallExpr, input, output string) {
	if len(cmd.Args) == 0 {
		s.assign(sc, cmd.Assigns)
		return
	}
	own := sc
	if len(cmd.Assigns) > 0 {
		own = sc.fork() // "A=b program" sets A for the program only
		s.assign(own, cmd.Assigns)
	}
	words := unwrap(s.fields(sc, cmd.Args))
	if len(words) == 0 {
		return
	}
	if printed, ok := s.output(sc, words, input); ok && output != "" {
		s.written[output] = printed
	}
	args := words[1:]
	switch name := path.Base(words[0]); {
	case name == "tee" && len(args) > 0:
		s.written[within(sc.dir, args[len(args)-1])] = input
	case name == "set" || name == "cd": // "cd" has changed the directory by now
	case name == "eval":
		s.nested(sc, cmd, strings.Join(args, " "))
	case sc.functions[words[0]] != nil:
		s.function(own, sc.functions[words[0]], args)
	case words[0] == "." || words[0] == "source":
		if len(args) > 0 {
			s.call(sc, within(sc.dir, args[0]), args[1:], true)
		}
	case slices.Contains([]string{"sh", "bash", "ash", "dash", "ksh"}, name):
		s.interpreter(own, cmd, args)
	default:
		at := sc.place(cmd)
		s.start(program{words: words, dir: own.dir, input: input, at: at})
		if strings.Contains(words[0], "/") {
			if text, ok := s.read(within(own.dir, words[0])); ok && (strings.HasPrefix(text, "#!") || path.Ext(words[0]) == ".sh") {
				s.call(own, within(own.dir, words[0]), args, false)
			}
		}
	}
}

// interpreter follows "sh script" and "sh -c commands".
func (s *shell) interpreter(sc *scope, cmd *syntax.CallExpr, args []string) {
	for i, arg := range args {
		switch {
		case strings.HasPrefix(arg, "-") && strings.HasSuffix(arg, "c") && !strings.HasPrefix(arg, "--"):
			if i+1 < len(args) {
				s.nested(sc.fork(), cmd, args[i+1])
			}
			return
		case strings.HasPrefix(arg, "-"):
		default:
			s.call(sc, within(sc.dir, arg), args[i+1:], false)
			return
		}
	}
}

// nested follows commands that are words of others.
func (s *shell) nested(sc *scope, cmd *syntax.CallExpr, text string) {
	if sc.depth >= maxShellDepth || len(text) > maxShellText {
		return
	}
	inner := *sc
	inner.text, inner.depth, inner.at = text, sc.depth+1, sc.place(cmd)
	s.parse(&inner)
	sc.dir = inner.dir
}

func (s *shell) function(sc *scope, body *syntax.Stmt, args []string) {
	if sc.depth >= maxShellDepth {
		return
	}
	inner := *sc
	inner.depth = sc.depth + 1
	inner.params = append([]string{"sh"}, args...)
	s.statement(&inner, body, "")
	sc.dir = inner.dir
}

// unwrap takes away the programs that run the rest of their words.
func unwrap(words []string) []string {
	for len(words) > 1 {
		switch path.Base(words[0]) {
		case "sudo", "env", "nohup", "exec", "command", "time", "timeout", "nice", "retry":
		default:
			return words
		}
		rest := words[1:]
		for len(rest) > 1 && (strings.HasPrefix(rest[0], "-") || strings.Contains(rest[0], "=") || strings.Trim(rest[0], "0123456789smh") == "") {
			rest = rest[1:]
		}
		words = rest
	}
	return words
}
