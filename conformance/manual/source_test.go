package manual

import (
	"go/ast"
	"go/build"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// source is a package as it is written: its files, and what they say of types and constants. Packages from outside are known as far as
// their constants matter here.
type source struct {
	files []*ast.File
	info  *types.Info
	pkg   *types.Package
}

// reader reads packages once each. It is their importer, too.
type reader struct {
	mu     sync.Mutex
	set    *token.FileSet
	std    types.Importer
	loaded map[string]*source
}

var sources = func() *reader {
	set := token.NewFileSet()
	return &reader{set: set, std: importer.ForCompiler(set, "source", nil), loaded: map[string]*source{}}
}()

// load reads the package in a folder of the repository.
func load(t *testing.T, folder string) *source {
	t.Helper()
	sources.mu.Lock()
	defer sources.mu.Unlock()
	s, err := sources.load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *reader) load(folder string) (*source, error) {
	if s := r.loaded[folder]; s != nil {
		return s, nil
	}
	dir := filepath.Join(root, folder)
	p, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	s := &source{info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
	}}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(r.set, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.files = append(s.files, f)
	}
	conf := types.Config{Importer: r, Error: func(error) {}} // what comes from unread packages is unknown, and not needed
	s.pkg, _ = conf.Check("edge/"+folder, r.set, s.files, s.info)
	r.loaded[folder] = s
	return s, nil
}

// Import is part of types.Importer.
func (r *reader) Import(path string) (*types.Package, error) {
	if folder, ours := strings.CutPrefix(path, "edge/"); ours {
		s, err := r.load(folder)
		if err != nil {
			return nil, err
		}
		return s.pkg, nil
	}
	if path == "time" || path == "math" {
		return r.std.Import(path)
	}
	p := types.NewPackage(path, filepath.Base(path))
	p.MarkComplete()
	return p, nil
}

// constants are a package's numbers by name; with them the fields of its variables that are struct literals, as "Variable.Field".
func (s *source) constants() map[string]int64 {
	out := map[string]int64{}
	for _, name := range s.pkg.Scope().Names() {
		if c, ok := s.pkg.Scope().Lookup(name).(*types.Const); ok {
			if n, exact := constant.Int64Val(constant.ToInt(c.Val())); exact {
				out[name] = n
			}
		}
	}
	for _, f := range s.files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				s.fields(spec.(*ast.ValueSpec), out)
			}
		}
	}
	return out
}

func (s *source) fields(v *ast.ValueSpec, out map[string]int64) {
	if len(v.Values) != 1 {
		return
	}
	lit, ok := v.Values[0].(*ast.CompositeLit)
	if !ok {
		return
	}
	for _, e := range lit.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if key, ok := pair.Key.(*ast.Ident); ok {
			if n, ok := s.number(pair.Value); ok {
				out[v.Names[0].Name+"."+key.Name] = n
			}
		}
	}
}

// number is the value of a constant expression.
func (s *source) number(e ast.Expr) (int64, bool) {
	v := s.info.Types[e].Value
	if v == nil || v.Kind() != constant.Int && v.Kind() != constant.Float {
		return 0, false
	}
	return constant.Int64Val(constant.ToInt(v))
}

// text is the value of a constant string.
func (s *source) text(e ast.Expr) (string, bool) {
	if v := s.info.Types[e].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v), true
	}
	return "", false
}

// functions calls do for every function of the package with its body.
func (s *source) functions(do func(name string, body *ast.BlockStmt)) {
	for _, f := range s.files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				do(fn.Name.Name, fn.Body)
			}
		}
	}
}

// jsonFields are the names that a struct type's fields have in JSON.
func (s *source) jsonFields(name string) (names []string) {
	fields := s.pkg.Scope().Lookup(name).Type().Underlying().(*types.Struct)
	for i := range fields.NumFields() {
		field, _, _ := strings.Cut(reflect.StructTag(fields.Tag(i)).Get("json"), ",")
		names = append(names, field)
	}
	return names
}

// literals are the distinct string literals of the named files of a package, or of all of it.
func (s *source) literals(files ...string) []string {
	found := map[string]bool{}
	for _, f := range s.files {
		if name := filepath.Base(sources.set.Position(f.Pos()).Filename); len(files) > 0 && !slices.Contains(files, name) {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					found[text] = true
				}
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// cases are the string constants of the case clauses of one function.
func (s *source) cases(function string) (list []string) {
	s.functions(func(name string, body *ast.BlockStmt) {
		if name != function {
			return
		}
		ast.Inspect(body, func(n ast.Node) bool {
			if c, ok := n.(*ast.CaseClause); ok {
				for _, e := range c.List {
					if text, ok := s.text(e); ok {
						list = append(list, text)
					}
				}
			}
			return true
		})
	})
	return list
}
