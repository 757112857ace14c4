package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// Options is what the server has built in that a file may name.
type Options struct {
	Modules []string // modules for "builtin:name"
	Natives []string // native filters

	Metering bool // guests are held to their limits of CPU time and call depth
}

// Load reads a file and checks it. Its error is of type [Problems] and tells everything that is wrong. Relative paths in the
// file are joined to its directory. Besides the file it reads the modules it names and looks at its directories.
func Load(path string, o Options) (*Config, error) {
	_, cfg, problems := Read(path, o)
	if len(problems) > 0 {
		return nil, problems
	}
	return cfg, nil
}

// Read is Load for whoever wants to see the text, or the warnings of a file with problems too: as with [Parse], the configuration must
// not be used where there are any.
func Read(path string, o Options) (text []byte, cfg *Config, problems Problems) {
	text, err := readFile(path)
	if err != nil {
		return nil, &Config{File: path, where: &mark{}}, Problems{{File: path, Message: err.Error()}}
	}
	cfg, problems = Parse(path, text, o)
	return text, cfg, problems
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	return data, plainPathError(err)
}

// plainPathError is an error without the operation and the path that the message has already.
func plainPathError(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Parse is Load on data, with name for the file's path. It returns a configuration whatever is wrong, for its Warnings; it
// must not be used where there are problems.
func Parse(name string, data []byte, o Options) (*Config, Problems) {
	sum := sha256.Sum256(data)
	r := &reader{dir: filepath.Dir(name), options: o, cfg: &Config{
		File: name, SHA256: hex.EncodeToString(sum[:]), where: &mark{line: 1, column: 1},
	}}
	values, problem := decode(data)
	if problem != nil {
		problem.File = name
		return r.cfg, Problems{*problem}
	}
	r.cfg.where, _, _ = index(string(data))
	r.file(&section{r: r, values: values, mark: r.cfg.where})
	r.problems.Sort()
	r.cfg.Warnings.Sort()
	if more := len(r.problems) - maxProblems; more > 0 {
		last := r.problems[maxProblems]
		r.problems = append(r.problems[:maxProblems:maxProblems],
			Problem{File: name, Line: last.Line, Message: fmt.Sprintf("and %d more problems", more)})
	}
	return r.cfg, r.problems
}

// decode is the TOML decoder with bounds before it. Its problem has no File.
func decode(data []byte) (values map[string]any, problem *Problem) {
	lines := max(1, bytes.Count(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))+1)
	if len(data) > MaxFileBytes {
		return nil, &Problem{Line: 1, Message: fmt.Sprintf("the file is larger than %v", Size(MaxFileBytes))}
	}
	text := string(data)
	if bad := invalidUTF8(text); bad >= 0 {
		line := 1 + strings.Count(text[:bad], "\n")
		return nil, &Problem{Line: line, Message: "not UTF-8", Remedy: "save the file as UTF-8"}
	}
	if _, err, line := index(text); err != nil {
		return nil, &Problem{Line: line, Message: err.Error(), Remedy: fmt.Sprintf("%d levels are the most", maxDepth)}
	}
	_, err := toml.Decode(text, &values)
	var at toml.ParseError
	switch {
	case errors.As(err, &at):
		return nil, &Problem{
			Line: min(max(at.Position.Line, 1), lines), Column: at.Position.Col,
			Path: at.LastKey, Message: "not TOML: " + strings.ReplaceAll(at.Message, "\n", " "),
		}
	case err != nil:
		return nil, &Problem{Line: 1, Message: err.Error()}
	}
	return values, nil
}

// invalidUTF8 is the place of the first byte that is not UTF-8, or -1.
func invalidUTF8(text string) int {
	for i, c := range text {
		if c == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			return i
		}
	}
	return -1
}

// file reads the top of the file.
func (r *reader) file(s *section) {
	c := r.cfg
	c.Server = readServer(s.tableOrEmpty("server"))
	c.Limits = readLimits(s.tableOrEmpty("limits"))
	c.Log = readLog(s.tableOrEmpty("log"))
	readCertificates(s)
	readUpstreams(s)
	readFilters(s)
	readListen(s)
	readRoutes(s)
	s.close()
	warnUnused(c)
}

// join makes a path of the file absolute to the file's directory.
func (r *reader) join(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.dir, path)
}

// Warn is Problem for a warning.
func (c *Config) Warn(path []any, remedy, format string, args ...any) Problem {
	p := c.Problem(path, remedy, format, args...)
	p.Warning = true
	return p
}

// Problem makes a problem with a key of the file, for checks that are made elsewhere. The path's parts are keys and indexes:
// "routes", 2, "upstream". A key that is not there stands where the nearest table around it does.
func (c *Config) Problem(path []any, remedy, format string, args ...any) Problem {
	m, name := c.where, ""
	for _, part := range path {
		var below *mark
		switch part := part.(type) {
		case string:
			if name != "" {
				name += "."
			}
			name += quoteKey(part)
			below = m.keys[part]
		case int:
			name = item(name, part)
			if part < len(m.items) {
				below = m.items[part]
			}
		}
		if below != nil {
			m = below
		}
	}
	return Problem{
		File: c.File, Line: m.line, Column: m.column, Path: name, Message: fmt.Sprintf(format, args...), Remedy: remedy, Denied: denied(args),
	}
}
