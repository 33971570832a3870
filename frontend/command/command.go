// Package command reads the commands of a cluster image as the shell at the site will.
package command

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/kubefile/kubefile/imagespec"
)

// Simple is one program that a command runs.
type Simple struct {
	// Words are program and arguments without quotes, at least one. A word that is not known before the line runs (a variable, a
	// pattern) is empty; so is the program where it is a group that writes files.
	Words []string
	// Guarded reports that the line expects the program to fail, or runs it depending on another one: "x || true", "test -f y && x", "if y;
	// then x; fi".
	Guarded bool
	// Writes are the files that its output goes to, empty like words.
	Writes []string
}

// Read returns the programs of a command in order, including those of "sh -c". A line that is not valid shell has none.
func Read(c imagespec.Command) []Simple {
	if c.Shell != "" {
		return parse(c.Shell, false)
	}
	if len(c.Exec) == 0 {
		return nil
	}
	return nested(Simple{Words: c.Exec})
}

func parse(line string, guarded bool) []Simple {
	file, err := syntax.NewParser().Parse(strings.NewReader(line), "")
	if err != nil {
		return nil
	}
	var commands []Simple
	walk(file, guarded, func(c Simple) { commands = append(commands, nested(c)...) })
	return commands
}

func walk(node syntax.Node, guarded bool, found func(Simple)) {
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.BinaryCmd:
			either := guarded || n.Op == syntax.OrStmt
			walk(n.X, either, found)
			walk(n.Y, either || n.Op == syntax.AndStmt && isTest(n.X), found)
			return false
		case *syntax.IfClause, *syntax.WhileClause, *syntax.CaseClause, *syntax.FuncDecl:
			if !guarded {
				walk(n, true, found)
			}
			return guarded
		case *syntax.Stmt:
			if call, ok := n.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 {
				found(simple(call, n.Redirs, guarded || n.Negated))
			} else if len(n.Redirs) > 0 { // of a group
				found(Simple{Words: []string{""}, Guarded: guarded, Writes: writes(n.Redirs)})
			}
		}
		return true
	})
}

// isTest reports whether a program is run only for its exit status.
func isTest(st *syntax.Stmt) bool {
	call, ok := st.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 {
		return true
	}
	return st.Negated || slices.Contains([]string{"test", "[", "grep", "which", "command", "type"}, literal(call.Args[0]))
}

func simple(call *syntax.CallExpr, redirects []*syntax.Redirect, guarded bool) Simple {
	c := Simple{Guarded: guarded, Writes: writes(redirects)}
	for _, arg := range call.Args {
		c.Words = append(c.Words, literal(arg))
	}
	return c
}

func writes(redirects []*syntax.Redirect) (files []string) {
	for _, r := range redirects {
		switch r.Op {
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.RdrAll, syntax.AppAll:
			files = append(files, literal(r.Word))
		}
	}
	return files
}

// nested replaces a program that only runs another one by that one, and "sh -c" by the programs of its line.
func nested(c Simple) []Simple {
	for len(c.Words) > 1 && slices.Contains([]string{"sudo", "exec", "nohup", "command", "env"}, c.Words[0]) && !strings.ContainsAny(c.Words[1], "-=") {
		c.Words = c.Words[1:]
	}
	if c.program() == "sh" || c.program() == "bash" {
		for i, word := range c.Words[1:] {
			if !strings.HasPrefix(word, "-") {
				break
			}
			if strings.HasSuffix(word, "c") && i+2 < len(c.Words) {
				return parse(c.Words[i+2], c.Guarded)
			}
		}
	}
	return []Simple{c}
}

// literal is the text of a word, or empty if a part of it is not known yet.
func literal(word *syntax.Word) string {
	text, ok := parts(word.Parts, false)
	if !ok || strings.HasPrefix(text, "~") {
		return ""
	}
	return text
}

func parts(list []syntax.WordPart, quoted bool) (string, bool) {
	var b strings.Builder
	for _, part := range list {
		switch p := part.(type) {
		case *syntax.Lit:
			if !quoted && p.Value != "[" && strings.ContainsAny(p.Value, "*?[{") {
				return "", false
			}
			b.WriteString(strings.ReplaceAll(p.Value, `\`, ""))
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			text, ok := parts(p.Parts, true)
			if !ok {
				return "", false
			}
			b.WriteString(text)
		default:
			return "", false
		}
	}
	return b.String(), true
}

func (s Simple) program() string { return path.Base(s.Words[0]) }

// Verb returns a program's name and its first argument that is neither a flag nor the value of one of kubectl's and helm's common flags.
func (s Simple) Verb() (program, verb string) {
	for i := 1; i < len(s.Words); i++ {
		word := s.Words[i]
		switch {
		case slices.Contains([]string{"-n", "--namespace", "-s", "--server", "--kubeconfig", "--context", "--kube-context", "--cluster", "--user"}, word):
			i++
		case !strings.HasPrefix(word, "-"):
			return s.program(), word
		}
	}
	return s.program(), ""
}
