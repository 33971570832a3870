package discovery

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/kubefile/kubefile/imagespec"
)

// Commands and the scripts that they call are followed without running anything: through variables that they set themselves, directories,
// functions, loops over words and loops that count, here-documents. Of a condition all branches are taken.

// program is a program that a command or a script starts.
type program struct {
	words []string          // what is not known stays as it is written, such as "${TAG}"
	dir   string            // where it is started, in the rootfs
	input string            // its standard input, if that is known
	at    imagespec.Finding // the file, the line, and the chain that led there
}

// shell follows commands and scripts.
type shell struct {
	fsys     fs.FS
	start    func(p program)                           // is told of every program
	document func(text string, at imagespec.Finding)   // is told of every here-document
	unread   func(at imagespec.Finding, reason string) // is called for files that are not shell scripts
	absent   func(at imagespec.Finding)                // is told of every file that is read and not there
	written  map[string]string                         // files that are written by here-documents
	seen     map[string]bool                           // scripts that were followed
	steps    int                                       // that are left
	looped   map[string]bool                           // variables of loops over words
	choice   choice
}

const (
	// maxShellSteps bounds the statements that are followed, for scripts can call each other and loop.
	maxShellSteps = 200_000
	// maxShellDepth bounds the calls of scripts and functions within each other.
	maxShellDepth = 16
	// maxShellText bounds the value of a variable, in bytes.
	maxShellText = 1 << 20
)

func newShell(fsys fs.FS) *shell {
	return &shell{fsys: fsys, written: map[string]string{}, seen: map[string]bool{}, looped: map[string]bool{}, steps: maxShellSteps}
}

// scope is what a script has at one point.
type scope struct {
	at        imagespec.Finding // the file, the chain; the line if there is but one
	text      string
	dir       string
	variables map[string]expand.Variable
	params    []string // "$0" first
	functions map[string]*syntax.Stmt
	hidden    map[string]hiddenVariable // by those of the function that is called
	depth     int
}

// fork returns a copy that may change on its own, as a subshell does.
func (sc scope) fork() *scope {
	variables := make(map[string]expand.Variable, len(sc.variables))
	for name, v := range sc.variables {
		variables[name] = v
	}
	sc.variables = variables
	return &sc
}

func (sc *scope) set(name, value string) {
	sc.variables[name] = expand.Variable{Set: true, Kind: expand.String, Str: value}
}

// place is the position of a statement.
func (sc *scope) place(n syntax.Node) imagespec.Finding {
	at := sc.at
	if at.Line == 0 {
		at.Line = int(n.Pos().Line())
	}
	at.Chain = slices.Clone(at.Chain)
	return at
}

// command follows one command line of the cluster image.
func (s *shell) command(line string, opts Options, at imagespec.Finding) {
	s.eachChoice(func() { s.once(line, opts, at) })
}

func (s *shell) once(line string, opts Options, at imagespec.Finding) {
	sc := scope{
		at: at, text: line, dir: within("", opts.WorkingDir), params: []string{"sh"},
		variables: map[string]expand.Variable{}, functions: map[string]*syntax.Stmt{},
	}
	for _, entry := range opts.Env {
		name, value, _ := strings.Cut(entry, "=")
		sc.set(name, value)
	}
	s.parse(&sc)
}

// script follows a script that nothing calls with known parameters.
func (s *shell) script(name string) {
	s.eachChoice(func() {
		sc := scope{variables: map[string]expand.Variable{}, functions: map[string]*syntax.Stmt{}}
		s.call(&sc, name, nil, false)
	})
}

func (s *shell) parse(sc *scope) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(sc.text), "")
	if err != nil {
		at := sc.at
		var parse syntax.ParseError
		if errors.As(err, &parse) {
			err = errors.New(parse.Text)
			at.Line = cmp.Or(at.Line, int(parse.Pos.Line()))
		}
		s.unread(at, err.Error())
		return
	}
	s.all(sc, file.Stmts)
}

// call follows a script of the rootfs, if there is one of that name. A sourced one leaves its variables and its directory behind.
func (s *shell) call(sc *scope, name string, params []string, sourced bool) {
	text, ok := s.read(name)
	if !ok || sc.depth >= maxShellDepth {
		return
	}
	s.seen[name] = true
	inner := *sc
	if !sourced {
		inner = *sc.fork()
	}
	inner.text, inner.depth = text, sc.depth+1
	if !sourced {
		inner.hidden = nil
	}
	if !sourced || len(params) > 0 {
		inner.params = append([]string{"/" + name}, params...)
	}
	if sc.at.File != "" {
		inner.at.Chain = append(slices.Clone(sc.at.Chain), "script "+name)
	}
	inner.at.File, inner.at.Line = name, 0
	s.parse(&inner)
	if sourced {
		sc.dir = inner.dir
	} else {
		s.choice.left = false
	}
}

func (s *shell) all(sc *scope, statements []*syntax.Stmt) {
	for _, st := range statements {
		s.statement(sc, st, "")
	}
}

func (s *shell) statement(sc *scope, st *syntax.Stmt, input string) {
	if s.steps--; s.steps < 0 || st == nil || s.choice.left {
		return
	}
	input, output := s.redirects(sc, st, input)
	switch cmd := st.Cmd.(type) {
	case *syntax.CallExpr:
		s.simple(sc, cmd, input, output)
	case *syntax.DeclClause:
		s.declare(sc, cmd)
	case *syntax.BinaryCmd:
		if cmd.Op != syntax.Pipe && cmd.Op != syntax.PipeAll {
			s.statement(sc, cmd.X, input)
			s.statement(sc, cmd.Y, input)
			return
		}
		s.statement(sc.fork(), cmd.X, input)
		piped, _ := s.capture(sc.fork(), []*syntax.Stmt{cmd.X})
		s.statement(sc.fork(), cmd.Y, piped)
	case *syntax.Block:
		s.all(sc, cmd.Stmts)
	case *syntax.Subshell:
		s.all(sc.fork(), cmd.Stmts)
	case *syntax.IfClause:
		s.condition(sc, cmd)
	case *syntax.CaseClause:
		s.cases(sc, cmd)
	case *syntax.WhileClause:
		s.while(sc, cmd, input)
	case *syntax.ForClause:
		s.loop(sc, cmd)
	case *syntax.FuncDecl:
		if cmd.Name != nil {
			sc.functions[cmd.Name.Value] = cmd.Body
		}
	case *syntax.TimeClause:
		s.statement(sc, cmd.Stmt, input)
	case *syntax.ArithmCmd:
		s.calculate(sc, cmd.X)
	case *syntax.LetClause:
		for _, expr := range cmd.Exprs {
			s.calculate(sc, expr)
		}
	}
}

// redirects returns what a statement reads from, and the file it writes to.
func (s *shell) redirects(sc *scope, st *syntax.Stmt, input string) (in, out string) {
	for _, r := range st.Redirs {
		switch r.Op {
		case syntax.Hdoc, syntax.DashHdoc:
			input, _ = s.text(sc, r.Hdoc)
			if r.Op == syntax.DashHdoc {
				input = strings.ReplaceAll("\n"+input, "\n\t", "\n")[1:]
			}
			at := sc.place(r)
			s.document(input, at)
		case syntax.WordHdoc:
			input, _ = s.word(sc, r.Word)
		case syntax.RdrIn:
			if substitution := substituted(r.Word); substitution != nil {
				s.all(sc.fork(), substitution.Stmts)
				input, _ = s.capture(sc.fork(), substitution.Stmts)
			} else if name, ok := s.word(sc, r.Word); ok {
				s.want(sc, name)
				input, _ = s.read(within(sc.dir, name))
			}
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob:
			if name, ok := s.word(sc, r.Word); ok && (r.N == nil || r.N.Value == "1") {
				out = within(sc.dir, name)
				s.opened(out, r.Op == syntax.AppOut)
			}
		}
	}
	return input, out
}

// opened empties a file that a statement writes to, or keeps what is in it.
func (s *shell) opened(name string, appended bool) {
	if !appended {
		delete(s.written, name)
	} else if text, ok := s.read(name); ok {
		s.written[name] = text
	}
}

// read returns the content of a file that scripts wrote, or that is in the rootfs.
func (s *shell) read(name string) (string, bool) {
	if text, ok := s.written[name]; ok {
		return text, true
	}
	if info, err := fs.Stat(s.fsys, name); err != nil || !info.Mode().IsRegular() || info.Size() > maxShellText {
		return "", false
	}
	data, err := fs.ReadFile(s.fsys, name)
	return string(data), err == nil
}

// want notes a file that is read. An absolute path is one of the host.
func (s *shell) want(sc *scope, name string) {
	if s.absent == nil || path.IsAbs(name) || strings.Contains(name, "$") {
		return
	}
	if _, ok := s.read(within(sc.dir, name)); !ok {
		s.absent(sc.at)
	}
}

// substituted returns the process of a word <(…), or nil.
func substituted(w *syntax.Word) *syntax.ProcSubst {
	if w == nil || len(w.Parts) != 1 {
		return nil
	}
	substitution, _ := w.Parts[0].(*syntax.ProcSubst)
	return substitution
}

// while follows "while read -r line" once for each line of its input, a loop that shifts parameters once for each of them, one that counts
// as often as it does, and any other loop once.
func (s *shell) while(sc *scope, cmd *syntax.WhileClause, input string) {
	var read *syntax.CallExpr
	if len(cmd.Cond) > 0 {
		if call, ok := cmd.Cond[len(cmd.Cond)-1].Cmd.(*syntax.CallExpr); ok && len(call.Args) > 1 && call.Args[0].Lit() == "read" {
			read = call
		}
	}
	if read == nil && s.countedWhile(sc, cmd) {
		return
	}
	s.all(sc, cmd.Cond)
	if read == nil || input == "" {
		for left := len(sc.params) + 1; left > len(sc.params) && s.steps >= 0; {
			left = len(sc.params)
			s.all(sc, cmd.Do)
			if len(sc.params) <= 1 {
				return
			}
		}
		return
	}
	for line := range strings.Lines(input) {
		if s.steps < 0 {
			return
		}
		s.simple(sc, read, line, "")
		s.all(sc, cmd.Do)
	}
}

func (s *shell) loop(sc *scope, cmd *syntax.ForClause) {
	if count, ok := cmd.Loop.(*syntax.CStyleLoop); ok {
		s.counted(sc, count, cmd.Do)
		return
	}
	iter, ok := cmd.Loop.(*syntax.WordIter)
	if !ok {
		s.all(sc, cmd.Do)
		return
	}
	items := sc.params[min(1, len(sc.params)):]
	if iter.InPos.IsValid() {
		items = s.fields(sc, iter.Items)
	}
	for _, item := range items {
		if s.steps < 0 {
			return
		}
		s.looped[iter.Name.Value] = true
		sc.set(iter.Name.Value, item)
		s.all(sc, cmd.Do)
	}
}

// within resolves a path as the program sees it. The rootfs is the root: nothing leads out of it.
func within(dir, name string) string {
	if !strings.HasPrefix(name, "/") {
		name = path.Join("/", dir, name)
	}
	if name = strings.TrimPrefix(path.Clean(name), "/"); name == "" {
		return "."
	}
	return name
}
