package discovery

import (
	"cmp"
	"reflect"
	"strconv"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// Arithmetic is computed where all of its numbers are known. What is not known is 0 for a shell that runs, and must not be that here: the
// first image of a list would represent all of them.

// maxCounted bounds how often a loop is followed that counts. Loops that wait count, too.
const maxCounted = 200

// calculator lets arithmetic set variables.
type calculator struct{ *scope }

// Set implements [expand.WriteEnviron].
func (c calculator) Set(name string, v expand.Variable) error {
	c.put(c.target(name), v)
	return nil
}

// calculate computes an expression and sets its variables; those whose values are not known become the variables as they are written.
func (s *shell) calculate(sc *scope, expr syntax.ArithmExpr) (value int, known bool) {
	if s.calculable(sc, expr) {
		config := &expand.Config{Env: calculator{sc}}
		value, err := expand.Arithm(config, expr)
		if err == nil {
			return value, true
		}
	}
	for _, name := range counters(expr) {
		sc.set(name, "${"+name+"}")
	}
	return 0, false
}

// counters are the variables that an expression sets.
func counters(expr syntax.ArithmExpr) (names []string) {
	syntax.Walk(expr, func(n syntax.Node) bool {
		var set syntax.ArithmExpr
		switch n := n.(type) {
		case *syntax.UnaryArithm:
			if n.Op == syntax.Inc || n.Op == syntax.Dec {
				set = n.X
			}
		case *syntax.BinaryArithm:
			if assigns(n.Op) {
				set = n.X
			}
		}
		if word, ok := set.(*syntax.Word); ok && syntax.ValidName(word.Lit()) {
			names = append(names, word.Lit())
		}
		return true
	})
	return names
}

func assigns(op syntax.BinAritOperator) bool {
	switch op {
	case syntax.Assgn, syntax.AddAssgn, syntax.SubAssgn, syntax.MulAssgn, syntax.QuoAssgn, syntax.RemAssgn:
		return true
	}
	return false
}

// calculable reports whether all numbers of an expression are known.
func (s *shell) calculable(sc *scope, expr syntax.ArithmExpr) bool {
	switch expr := expr.(type) {
	case *syntax.Word:
		text := expr.Lit()
		if text == "" {
			var ok bool
			if text, ok = s.word(sc, expr); !ok {
				return false
			}
		}
		if syntax.ValidName(text) {
			text = sc.Get(sc.target(text)).String()
		}
		_, err := strconv.Atoi(text)
		return err == nil
	case *syntax.ParenArithm:
		return s.calculable(sc, expr.X)
	case *syntax.UnaryArithm:
		return s.calculable(sc, expr.X) && (expr.Op != syntax.Inc && expr.Op != syntax.Dec || isName(expr.X))
	case *syntax.BinaryArithm:
		switch {
		case expr.Op == syntax.Assgn:
			return isName(expr.X) && s.calculable(sc, expr.Y)
		case assigns(expr.Op) && !isName(expr.X):
			return false
		case expr.Op == syntax.Comma: // the right side may need what the left side sets
			return s.calculable(sc, expr.X) && len(counters(expr.X)) == 0 && s.calculable(sc, expr.Y)
		}
		return s.calculable(sc, expr.X) && s.calculable(sc, expr.Y)
	}
	return false
}

func isName(expr syntax.ArithmExpr) bool {
	word, ok := expr.(*syntax.Word)
	return ok && syntax.ValidName(word.Lit())
}

// located reports whether it is known which elements of an array a parameter means. What an index sets would be lost.
func (s *shell) located(sc *scope, n *syntax.ParamExp) bool {
	known := func(expr syntax.ArithmExpr) bool { return len(counters(expr)) == 0 && s.calculable(sc, expr) }
	if n.Slice != nil && (n.Slice.Offset != nil && !known(n.Slice.Offset) || n.Slice.Length != nil && !known(n.Slice.Length)) {
		return false
	}
	if word, ok := n.Index.(*syntax.Word); n.Index == nil || n.Param == nil || ok && (word.Lit() == "@" || word.Lit() == "*") {
		return true
	}
	return sc.variables[sc.target(n.Param.Value)].Kind != expand.Indexed || known(n.Index)
}

// counted follows "for ((…))".
func (s *shell) counted(sc *scope, loop *syntax.CStyleLoop, body []*syntax.Stmt) {
	known := loop.Cond != nil
	if loop.Init != nil {
		_, ok := s.calculate(sc, loop.Init)
		known = known && ok
	}
	for range maxCounted {
		value := 0
		if known {
			value, known = s.calculate(sc, loop.Cond)
		}
		if known && value == 0 || s.steps < 0 {
			return
		}
		if !known && loop.Post != nil {
			for _, name := range counters(loop.Post) {
				sc.set(name, "${"+name+"}")
			}
		}
		s.all(sc, body)
		if !known {
			return
		}
		if loop.Post != nil {
			_, known = s.calculate(sc, loop.Post)
		}
	}
}

// countedWhile follows "while" and "until" as long as their condition compares numbers that are known. It is false if they never are.
func (s *shell) countedWhile(sc *scope, cmd *syntax.WhileClause) bool {
	if len(cmd.Cond) != 1 {
		return false
	}
	for n := range maxCounted {
		holds, known := s.holds(sc, cmd.Cond[0])
		switch {
		case !known && n == 0:
			return false
		case known && holds == cmd.Until || s.steps < 0:
			return true
		}
		before := sc.fork()
		s.all(sc, cmd.Do)
		if !known || len(sc.params) == len(before.params) && reflect.DeepEqual(sc.variables, before.variables) {
			return true
		}
	}
	return true
}

// holds computes a condition that compares numbers.
func (s *shell) holds(sc *scope, st *syntax.Stmt) (holds, known bool) {
	switch cond := st.Cmd.(type) {
	case *syntax.ArithmCmd:
		var value int
		value, known = s.calculate(sc, cond.X)
		holds = value != 0
	case *syntax.TestClause:
		test, ok := cond.X.(*syntax.BinaryTest)
		if !ok {
			return false, false
		}
		x, _ := test.X.(*syntax.Word)
		y, _ := test.Y.(*syntax.Word)
		holds, known = s.compares(sc, x, test.Op.String(), y)
	case *syntax.CallExpr:
		args := cond.Args
		if len(args) == 5 && args[0].Lit() == "[" || len(args) == 4 && args[0].Lit() == "test" {
			holds, known = s.compares(sc, args[1], args[2].Lit(), args[3])
		}
	}
	return holds != st.Negated, known
}

func (s *shell) compares(sc *scope, a *syntax.Word, op string, b *syntax.Word) (holds, known bool) {
	if a == nil || b == nil || !s.calculable(sc, a) || !s.calculable(sc, b) {
		return false, false
	}
	x, _ := s.calculate(sc, a)
	y, _ := s.calculate(sc, b)
	compared := cmp.Compare(x, y)
	holds, known = map[string]bool{
		"-eq": compared == 0, "-ne": compared != 0, "-lt": compared < 0, "-le": compared <= 0, "-gt": compared > 0, "-ge": compared >= 0,
	}[op]
	return holds, known
}

// sequence returns what seq prints, if it counts up by one.
func sequence(args []string) (string, bool) {
	first := "1"
	if len(args) == 2 {
		first, args = args[0], args[1:]
	}
	if len(args) != 1 {
		return "", false
	}
	from, err := strconv.Atoi(first)
	to, err2 := strconv.Atoi(args[0])
	if err != nil || err2 != nil || to-from >= maxElements {
		return "", false
	}
	var out []byte
	for i := from; i <= to; i++ {
		out = append(strconv.AppendInt(out, int64(i), 10), '\n')
	}
	return string(out), true
}

// sum returns what expr prints for a sum or a difference.
func sum(args []string) (string, bool) {
	if len(args) != 3 {
		return "", false
	}
	a, err := strconv.Atoi(args[0])
	b, err2 := strconv.Atoi(args[2])
	if args[1] == "-" {
		b = -b
	}
	return strconv.Itoa(a+b) + "\n", err == nil && err2 == nil && (args[1] == "+" || args[1] == "-")
}
