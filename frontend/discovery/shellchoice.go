package discovery

import (
	"maps"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/pattern"
	"mvdan.cc/sh/v3/syntax"
)

// maxChoices bounds how often commands are followed to see each branch of their conditions alone.
const maxChoices = 8

// choice is which branches of conditions are taken. First all of them are, one after the other, so that what one branch sets can hide
// what another one has set before it. So they are followed again with the first branch of all conditions only, with the second, and
// so on. A condition that has but one branch is always taken.
type choice struct {
	number int  // of the branch, from 1; 0 for all
	most   int  // branches that a condition has
	only   bool // a branch is followed that excludes others
	left   bool // by the branch: nothing comes after it
}

// eachChoice follows commands with each choice.
func (s *shell) eachChoice(follow func()) {
	s.choice = choice{}
	before, all := maps.Clone(s.written), map[string]string(nil)
	for s.choice.number <= min(s.choice.most, maxChoices) && s.steps >= 0 {
		s.choice.only, s.choice.left = false, false
		follow()
		if all == nil {
			all = maps.Clone(s.written)
		}
		maps.Copy(all, missing(s.written, all))
		clear(s.written)
		maps.Copy(s.written, before)
		s.choice.number++
	}
	maps.Copy(s.written, all)
	s.choice = choice{}
}

// missing returns the files of one map that the other one lacks.
func missing(from, in map[string]string) map[string]string {
	lacks := maps.Clone(from)
	maps.DeleteFunc(lacks, func(name, _ string) bool { _, ok := in[name]; return ok })
	return lacks
}

// leave ends the script, if it is known to end.
func (c *choice) leave() { c.left = c.left || c.only }

// branches follows some of the branches of a condition.
func (s *shell) branches(sc *scope, branches [][]*syntax.Stmt, exclusive bool) {
	outer := s.choice.only
	defer func() { s.choice.only = outer }()
	if exclusive && len(branches) > 1 {
		s.choice.most = max(s.choice.most, len(branches))
		if n := s.choice.number; n > 0 {
			s.choice.only = true
			s.all(sc, branches[min(n, len(branches))-1])
			return
		}
	}
	s.choice.only = false
	for _, branch := range branches {
		s.all(sc, branch)
	}
}

// condition follows "if".
func (s *shell) condition(sc *scope, cmd *syntax.IfClause) {
	var branches [][]*syntax.Stmt
	complete := false
	for clause := cmd; clause != nil; clause = clause.Else {
		s.all(sc, clause.Cond)
		branches = append(branches, clause.Then)
		complete = len(clause.Cond) == 0 // it is the else
	}
	s.branches(sc, branches, complete)
}

// cases follows "case": the item that matches, where the word is a parameter or of a loop over words that are known.
func (s *shell) cases(sc *scope, cmd *syntax.CaseClause) {
	word, known := s.word(sc, cmd.Word)
	known = known && s.isArgument(cmd.Word) && !strings.Contains(word, "$")
	var branches [][]*syntax.Stmt
	for _, item := range cmd.Items {
		if known && s.matchesItem(sc, item, word) {
			s.all(sc, item.Stmts)
			return
		}
		branches = append(branches, item.Stmts)
	}
	if !known {
		s.branches(sc, branches, true)
	}
}

// isArgument reports whether a word is nothing but a parameter, or the variable of a loop over words.
func (s *shell) isArgument(w *syntax.Word) bool {
	parts := w.Parts
	if len(parts) == 1 {
		if quoted, ok := parts[0].(*syntax.DblQuoted); ok {
			parts = quoted.Parts
		}
	}
	if len(parts) != 1 {
		return false
	}
	param, ok := parts[0].(*syntax.ParamExp)
	if !ok || param.Param == nil || param.Exp != nil {
		return false
	}
	name := param.Param.Value
	return s.looped[name] || strings.Trim(name, "0123456789") == ""
}

func (s *shell) matchesItem(sc *scope, item *syntax.CaseItem, word string) bool {
	for _, w := range item.Patterns {
		text, ok := s.word(sc, w)
		if !ok {
			return true
		}
		expression, err := pattern.Regexp(text, pattern.EntireString)
		if err != nil {
			return true
		}
		if matched, err := regexp.MatchString(expression, word); matched || err != nil {
			return true
		}
	}
	return false
}
