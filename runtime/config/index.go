package config

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mark is where one key or one element of an array stands, and the same for all below it. The TOML decoder tells only
// values; the marks tell places.
type mark struct {
	line, column int              // of the key, or of an element's value; from 1
	keys         map[string]*mark // of a table
	items        []*mark          // of an array
	list         bool             // an array, be it empty
}

var errDepth = errors.New("tables, arrays or dotted keys go too deep")

// index finds the place of every key and element of a TOML text. It believes that the text is valid: of one that is not it
// returns some marks or other, but it always ends, and always within the text. Its one error is errDepth with the place: the
// decoder recurses and must not see such a text.
func index(text string) (root *mark, err error, line int) {
	x := &indexer{text: text, line: 1, root: &mark{line: 1, column: 1}}
	x.at = len(text) - len(strings.TrimPrefix(text, "\xef\xbb\xbf"))
	x.lineStart = x.at
	x.file()
	return x.root, x.err, x.line
}

// indexer walks over a text once.
type indexer struct {
	text      string
	at        int // next byte
	line      int // of that byte
	lineStart int
	root      *mark
	err       error
}

// peek is the next byte, 0 at the end or after an error.
func (x *indexer) peek() byte {
	if x.at >= len(x.text) || x.err != nil {
		return 0
	}
	return x.text[x.at]
}

// next consumes a byte and counts lines.
func (x *indexer) next() byte {
	if x.at >= len(x.text) {
		return 0
	}
	c := x.text[x.at]
	x.at++
	if c == '\n' && x.at < len(x.text) {
		x.line++
		x.lineStart = x.at
	}
	return c
}

func (x *indexer) more() bool { return x.at < len(x.text) && x.err == nil }

func (x *indexer) here() *mark { return &mark{line: x.line, column: x.at - x.lineStart + 1} }

// blanks skips spaces and tabs; space skips newlines and comments too.
func (x *indexer) blanks() {
	for c := x.peek(); c == ' ' || c == '\t'; c = x.peek() {
		x.next()
	}
}

func (x *indexer) space() {
	for x.more() {
		switch x.peek() {
		case ' ', '\t', '\r', '\n':
			x.next()
		case '#':
			for x.more() && x.peek() != '\n' {
				x.next()
			}
		default:
			return
		}
	}
}

func (x *indexer) file() {
	table := x.root
	for x.space(); x.more(); x.space() {
		if x.peek() == '[' {
			table = x.header()
		} else {
			x.keyValue(table, 0)
		}
	}
}

// header reads "[a.b]" or "[[a.b]]" and returns the table that follows.
func (x *indexer) header() *mark {
	place := x.here()
	x.next()
	list := x.peek() == '['
	if list {
		x.next()
	}
	path := x.key(0)
	for x.more() && x.peek() != '\n' && x.peek() != '#' {
		x.next()
	}
	table := x.root
	for i, k := range path {
		last := i == len(path)-1
		m := table.child(k, place)
		switch {
		case last && list:
			m.list = true
			m.items = append(m.items, place)
			m = place
		case last && len(m.keys) == 0 && !m.list:
			m.line, m.column = place.line, place.column
		case len(m.items) > 0:
			m = m.items[len(m.items)-1]
		}
		table = m
	}
	return table
}

// child returns the mark below a key, and makes it where there is none.
func (m *mark) child(key string, place *mark) *mark {
	if c := m.keys[key]; c != nil {
		return c
	}
	if m.keys == nil {
		m.keys = map[string]*mark{}
	}
	c := &mark{line: place.line, column: place.column}
	m.keys[key] = c
	return c
}

// keyValue reads "a.b = value" into a table.
func (x *indexer) keyValue(table *mark, depth int) {
	place, start := x.here(), x.at
	for _, k := range x.key(depth) {
		table = table.child(k, place)
	}
	x.blanks()
	if x.peek() == '=' {
		x.next()
	}
	x.blanks()
	x.value(table, depth)
	if x.at == start {
		x.next() // not TOML: go on all the same
	}
}

// key reads a dotted key.
func (x *indexer) key(depth int) []string {
	var path []string
	for x.more() {
		x.blanks()
		switch c := x.peek(); c {
		case '"':
			path = append(path, unescape(x.quoted('"')))
		case '\'':
			path = append(path, x.quoted('\''))
		default:
			start := x.at
			for c := x.peek(); x.more() && strings.IndexByte(" \t\r\n.=]#\"',{}[", c) < 0; c = x.peek() {
				x.next()
			}
			path = append(path, x.text[start:x.at])
		}
		if depth+len(path) > maxDepth {
			x.err = errDepth
		}
		x.blanks()
		if x.peek() != '.' {
			break
		}
		x.next()
	}
	return path
}

// value reads a value into its mark.
func (x *indexer) value(m *mark, depth int) {
	if depth > maxDepth {
		x.err = errDepth
		return
	}
	switch c := x.peek(); c {
	case '"', '\'':
		x.quoted(c)
	case '[':
		x.array(m, depth+1)
	case '{':
		x.inline(m, depth+1)
	default:
		for x.more() && strings.IndexByte(",]}#\r\n", x.peek()) < 0 {
			x.next()
		}
	}
}

func (x *indexer) array(m *mark, depth int) {
	m.list = true
	x.next()
	for x.space(); x.more() && x.peek() != ']'; x.space() {
		start := x.at
		item := x.here()
		m.items = append(m.items, item)
		x.value(item, depth)
		x.space()
		if x.peek() == ',' || x.at == start {
			x.next()
		}
	}
	x.next()
}

func (x *indexer) inline(m *mark, depth int) {
	x.next()
	for x.space(); x.more() && x.peek() != '}'; x.space() {
		start := x.at
		x.keyValue(m, depth)
		x.space()
		if x.peek() == ',' || x.at == start {
			x.next()
		}
	}
	x.next()
}

// quoted reads a string of any of the four kinds and returns what is between its quotes.
func (x *indexer) quoted(quote byte) string {
	triple := strings.Repeat(string(quote), 3)
	if strings.HasPrefix(x.text[x.at:], triple) {
		for range triple {
			x.next()
		}
		start := x.at
		for x.more() {
			if quote == '"' && x.peek() == '\\' {
				x.next()
			} else if strings.HasPrefix(x.text[x.at:], triple) {
				break
			}
			x.next()
		}
		end := x.at
		// Up to two quotes may stand right before the closing three; the decoder takes more.
		for x.peek() == quote {
			x.next()
		}
		return x.text[start:end]
	}
	x.next()
	start := x.at
	for x.more() && x.peek() != quote && x.peek() != '\n' {
		if quote == '"' && x.peek() == '\\' {
			x.next()
		}
		x.next()
	}
	end := x.at
	if x.peek() == quote {
		x.next()
	}
	return x.text[start:end]
}

// unescape is the text of a basic string.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if plain := strings.IndexByte(`btnfre"\`, s[i]); plain >= 0 {
			b.WriteByte("\b\t\n\f\r\x1b\"\\"[plain])
			continue
		}
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]
		end := min(i+1+digits, len(s))
		if n, err := strconv.ParseUint(s[i+1:end], 16, 32); err == nil {
			b.Write(utf8.AppendRune(nil, rune(n)))
		}
		i = end - 1
	}
	return b.String()
}
