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
	if len(words) == 0 || s.builtin(sc, own.Get("IFS").String(), words, input) {
		return
	}
	if printed, ok := s.output(sc, words, input); ok && output != "" {
		s.written[output] += printed
	}
	args := words[1:]
	switch name := path.Base(words[0]); {
	case name == "tee" && len(args) > 0:
		file := within(sc.dir, args[len(args)-1])
		s.opened(file, args[0] == "-a")
		s.written[file] += input
	case name == "cd": // it has changed the directory by now
	case name == "exit":
		s.choice.leave()
	case name == "xargs":
		s.xargs(own, cmd, args, input)
	case name == "eval":
		s.nested(sc, cmd, strings.Join(args, " "))
	case sc.functions[words[0]] != nil:
		s.function(own, sc.functions[words[0]], args)
	case words[0] == "." || words[0] == "source":
		if len(args) > 0 {
			s.want(sc, args[0])
			s.call(sc, within(sc.dir, args[0]), args[1:], true)
		}
	case slices.Contains([]string{"sh", "bash", "ash", "dash", "ksh"}, name):
		s.interpreter(own, cmd, args)
	default:
		at := sc.place(cmd)
		s.start(program{words: words, dir: own.dir, input: input, at: at})
		if strings.Contains(words[0], "/") {
			s.want(own, words[0])
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
				inner := sc.fork()
				inner.params = append([]string{"sh"}, args[min(i+3, len(args)):]...)
				s.nested(inner, cmd, args[i+1])
			}
			return
		case strings.HasPrefix(arg, "-"):
		default:
			s.want(sc, arg)
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
	sc.dir, sc.params = inner.dir, inner.params
}

// xargs follows a program that is started with the words of the input.
func (s *shell) xargs(sc *scope, cmd *syntax.CallExpr, args []string, input string) {
	place := ""
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		option, rest := args[0], args[1:]
		if len(option) == 2 && strings.Contains("nILPsd", option[1:]) && len(rest) > 0 {
			if option == "-I" {
				place = rest[0]
			}
			rest = rest[1:]
		} else if strings.HasPrefix(option, "-I") {
			place = option[2:]
		}
		args = rest
	}
	if len(args) == 0 || input == "" {
		return
	}
	at := sc.place(cmd)
	for line := range strings.Lines(input) {
		for _, word := range strings.Fields(line) {
			if s.steps--; s.steps < 0 {
				return
			}
			words := append(slices.Clone(args), word)
			if place != "" {
				words = slices.Clone(args)
				for i := range words {
					words[i] = strings.ReplaceAll(words[i], place, word)
				}
			}
			s.start(program{words: words, dir: sc.dir, at: at})
		}
	}
}

func (s *shell) function(sc *scope, body *syntax.Stmt, args []string) {
	if sc.depth >= maxShellDepth {
		return
	}
	inner := *sc
	inner.depth = sc.depth + 1
	inner.params = append([]string{"sh"}, args...)
	inner.hidden = map[string]hiddenVariable{}
	s.statement(&inner, body, "")
	inner.restore()
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
