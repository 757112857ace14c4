package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// reader reads one file's tree of values and gathers what is wrong with it.
type reader struct {
	cfg      *Config
	dir      string // what relative paths are joined to
	options  Options
	problems Problems
}

// section is one table of the file. Every key is asked for by a method of its type, which reports a wrong type and
// returns the fallback; close reports the keys that nobody asked for. So the code that reads a table is its schema.
type section struct {
	r      *reader
	path   string // "" is the top
	values map[string]any
	mark   *mark
	asked  []string
}

// at returns the mark of a key or, where it is not there, of the table.
func (s *section) at(key string) *mark {
	if m := s.mark.keys[key]; m != nil {
		return m
	}
	return s.mark
}

// sub is the path of a key.
func (s *section) sub(key string) string {
	key = quoteKey(key)
	if s.path == "" {
		return key
	}
	return s.path + "." + key
}

func quoteKey(key string) string {
	for i := range len(key) {
		if c := key[i]; !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return fmt.Sprintf("%q", key)
		}
	}
	if key == "" {
		return `""`
	}
	return key
}

func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// bad reports a problem with a key's value.
func (s *section) bad(key, remedy, format string, args ...any) {
	s.r.bad(s.at(key), s.sub(key), remedy, format, args...)
}

// badItem reports a problem with an element of the array that is a key's value.
func (s *section) badItem(key string, i int, remedy, format string, args ...any) {
	s.r.bad(s.at(key).item(i), item(s.sub(key), i), remedy, format, args...)
}

func (s *section) warn(key, remedy, format string, args ...any) {
	p := s.r.problem(s.at(key), s.sub(key), remedy, format, args...)
	p.Warning = true
	s.r.cfg.Warnings = append(s.r.cfg.Warnings, p)
}

func (r *reader) bad(m *mark, path, remedy, format string, args ...any) {
	r.problems = append(r.problems, r.problem(m, path, remedy, format, args...))
}

func (r *reader) problem(m *mark, path, remedy, format string, args ...any) Problem {
	return Problem{
		File: r.cfg.File, Line: m.line, Column: m.column, Path: path, Message: fmt.Sprintf(format, args...), Remedy: remedy,
		Denied: denied(args),
	}
}

// item is the mark of an element, or of the array where there is no such element.
func (m *mark) item(i int) *mark {
	if i < len(m.items) {
		return m.items[i]
	}
	return m
}

// get returns a key's value and remembers that it was asked for.
func (s *section) get(key string) (any, bool) {
	s.asked = append(s.asked, key)
	v, ok := s.values[key]
	return v, ok
}

// has says whether a key is there.
func (s *section) has(key string) bool {
	_, ok := s.values[key]
	return ok
}

// close reports the keys that no method asked for.
func (s *section) close() {
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		if slices.Contains(s.asked, key) {
			continue
		}
		remedy := suggest(key, s.asked)
		if remedy == "" {
			remedy = "known here: " + strings.Join(s.asked, ", ")
		}
		s.bad(key, remedy, "unknown key")
	}
}

func (s *section) wrong(key, want string, have any) {
	s.bad(key, "", "should be %s, is %s", want, kind(have))
}

// kind is what the file calls a value's type.
func kind(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "a number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	case map[string]any:
		return "a table"
	case []map[string]any, []any:
		return "an array"
	}
	return "a date or time"
}

func (s *section) text(key, fallback string) string {
	v, ok := s.get(key)
	if !ok {
		return fallback
	}
	t, ok := v.(string)
	if !ok {
		s.wrong(key, "a string", v)
		return fallback
	}
	return t
}

// oneOf is a string out of a set; the first is the default.
func (s *section) oneOf(key string, set ...string) string {
	t := s.text(key, set[0])
	if !slices.Contains(set, t) {
		s.bad(key, suggestOr(t, set), "%q is not known here", t)
		return set[0]
	}
	return t
}

// suggestOr is suggest, or else the whole set.
func suggestOr(word string, set []string) string {
	if remedy := suggest(word, set); remedy != "" {
		return remedy
	}
	quoted := make([]string, len(set))
	for i, c := range set {
		quoted[i] = fmt.Sprintf("%q", c)
	}
	return "known: " + strings.Join(quoted, ", ")
}

func (s *section) integer(key string, fallback, least, most int64) int64 {
	v, ok := s.get(key)
	if !ok {
		return fallback
	}
	n, ok := v.(int64)
	switch {
	case !ok:
		s.wrong(key, "a whole number", v)
		return fallback
	case n < least:
		s.bad(key, "", "%d is less than %d", n, least)
		return fallback
	case n > most:
		s.bad(key, "", "%d is more than %d", n, most)
		return fallback
	}
	return n
}

func (s *section) count(key string, fallback, least, most int) int {
	return int(s.integer(key, int64(fallback), int64(least), int64(most)))
}

func (s *section) boolean(key string, fallback bool) bool {
	v, ok := s.get(key)
	if !ok {
		return fallback
	}
	b, ok := v.(bool)
	if !ok {
		s.wrong(key, "true or false", v)
		return fallback
	}
	return b
}

// minTimeout keeps a timeout from being a unit's mistake.
const minTimeout = time.Millisecond

func (s *section) duration(key string, fallback, least, most time.Duration) time.Duration {
	v, ok := s.get(key)
	if !ok {
		return fallback
	}
	t, ok := v.(string)
	if !ok {
		s.bad(key, `write a unit: "5s", "100ms"`, "should be a duration, is %s", kind(v))
		return fallback
	}
	d, err := time.ParseDuration(t)
	switch {
	case err != nil:
		s.bad(key, `write it as "5s", "100ms", "1m30s"`, "%q is not a duration", t)
		return fallback
	case d < least:
		s.bad(key, "", "%v is less than %v", d, least)
		return fallback
	case d > most:
		s.bad(key, "", "%v is more than %v", d, most)
		return fallback
	}
	return d
}

func (s *section) size(key string, fallback, least, most Size) Size {
	v, ok := s.get(key)
	if !ok {
		return fallback
	}
	remedy := `write it as "512B", "32KiB", "1MiB", "2GiB"`
	if most == Unlimited {
		remedy += ` or "unlimited"`
	}
	t, ok := v.(string)
	if !ok {
		s.bad(key, remedy, "should be a size, is %s", kind(v))
		return fallback
	}
	n, err := ParseSize(t)
	switch {
	case err != nil:
		s.bad(key, remedy, "%v", err)
		return fallback
	case n < least:
		s.bad(key, "", "%v is less than %v", n, least)
		return fallback
	case n > most:
		s.bad(key, "", "%v is more than %v", n, most)
		return fallback
	}
	return n
}

// texts is an array of strings; nil where the key is missing. An element of another type is "" in it, and reported.
func (s *section) texts(key string) []string {
	var out []string
	for i, v := range s.list(key) {
		t, ok := v.(string)
		if !ok {
			s.badItem(key, i, "", "should be a string, is %s", kind(v))
		}
		out = append(out, t)
	}
	return out
}

// list is an array of whatever.
func (s *section) list(key string) []any {
	v, ok := s.get(key)
	if !ok {
		return nil
	}
	switch v := v.(type) {
	case []any:
		return v
	case []map[string]any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = v[i]
		}
		return out
	}
	s.bad(key, "put it in brackets: [ … ]", "should be an array, is %s", kind(v))
	return nil
}

// table is a table; nil where the key is missing or is something else.
func (s *section) table(key string) *section {
	v, ok := s.get(key)
	if !ok {
		return nil
	}
	values, ok := v.(map[string]any)
	if !ok {
		s.wrong(key, "a table", v)
		return nil
	}
	return &section{r: s.r, path: s.sub(key), values: values, mark: s.at(key)}
}

// tableOrEmpty is a table, or an empty one where the key is missing, so that its defaults can be read.
func (s *section) tableOrEmpty(key string) *section {
	if t := s.table(key); t != nil {
		return t
	}
	return &section{r: s.r, path: s.sub(key), mark: s.at(key)}
}

// tables is an array of tables.
func (s *section) tables(key string, most int) []*section {
	var out []*section
	for i, v := range s.list(key) {
		values, ok := v.(map[string]any)
		if !ok {
			s.badItem(key, i, "", "should be a table, is %s", kind(v))
			continue
		}
		out = append(out, &section{r: s.r, path: item(s.sub(key), i), values: values, mark: s.at(key).item(i)})
	}
	if len(out) > most {
		s.bad(key, "", "%d is more than %d", len(out), most)
		return out[:most]
	}
	return out
}

// named is the tables below a key by their names, in file order.
func (s *section) named(key string) (names []string, tables []*section) {
	all := s.table(key)
	if all == nil {
		return nil, nil
	}
	names = slices.SortedFunc(maps.Keys(all.values), func(a, b string) int {
		ma, mb := all.at(a), all.at(b)
		if ma.line != mb.line {
			return ma.line - mb.line
		}
		if ma.column != mb.column {
			return ma.column - mb.column
		}
		return strings.Compare(a, b)
	})
	kept := names[:0]
	for _, name := range names {
		if why := nameProblem(name); why != "" {
			all.bad(name, "", "%s", why)
		}
		if t := all.table(name); t != nil {
			kept = append(kept, name)
			tables = append(tables, t)
		}
	}
	return kept, tables
}

// nameProblem says what keeps s from being a name: names stand in logs and as metric labels.
func nameProblem(s string) string {
	if s == "" || len(s) > maxName {
		return fmt.Sprintf("a name has 1 to %d characters", maxName)
	}
	for i := range len(s) {
		if c := s[i]; !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("_-.", c) >= 0) {
			return fmt.Sprintf("a name has letters, digits, \"_\", \"-\" and \".\" only, and not %q", c)
		}
	}
	return ""
}
