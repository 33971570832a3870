// Package command reads the commands of a cluster image as the shell at the site will.
package command

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Simple is one program that a command line runs.
type Simple struct {
	// Words are program and arguments without quotes. A word that is not known before the line runs (a variable, a pattern) is empty.
	Words []string
	// MayFail says that the line goes on when the program fails ("x || true").
	MayFail bool
	// Writes are the files that its output goes to.
	Writes []string
}

// Parse returns the programs of a line in order. A line that is no shell has none.
func Parse(line string) []Simple {
	file, err := syntax.NewParser().Parse(strings.NewReader(line), "")
	if err != nil {
		return nil
	}
	var commands []Simple
	mayFail := map[*syntax.Stmt]bool{}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch n := node.(type) {
		case *syntax.BinaryCmd:
			mayFail[n.X] = n.Op == syntax.OrStmt
		case *syntax.Stmt:
			call, ok := n.Cmd.(*syntax.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			c := Simple{MayFail: mayFail[n]}
			for _, arg := range call.Args {
				c.Words = append(c.Words, literal(arg))
			}
			for _, r := range n.Redirs {
				if r.Op == syntax.RdrOut || r.Op == syntax.AppOut {
					c.Writes = append(c.Writes, literal(r.Word))
				}
			}
			commands = append(commands, c)
		}
		return true
	})
	return commands
}

// literal is the text of a word, or empty if a part of it is not known yet.
func literal(word *syntax.Word) string {
	text, ok := parts(word.Parts)
	if !ok {
		return ""
	}
	return text
}

func parts(list []syntax.WordPart) (string, bool) {
	var b strings.Builder
	for _, part := range list {
		switch p := part.(type) {
		case *syntax.Lit:
			if strings.ContainsAny(p.Value, "*?[") {
				return "", false
			}
			b.WriteString(strings.ReplaceAll(p.Value, `\`, ""))
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			text, ok := parts(p.Parts)
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

// Verb returns a program's name and its first argument that is no flag.
func (s Simple) Verb() (program, verb string) {
	program = s.Words[0][strings.LastIndex(s.Words[0], "/")+1:]
	for _, word := range s.Words[1:] {
		if !strings.HasPrefix(word, "-") {
			return program, word
		}
	}
	return program, ""
}
