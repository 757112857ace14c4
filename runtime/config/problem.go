package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Problem is one thing that is wrong with a configuration file, or, as a warning, one that is likely not meant.
type Problem struct {
	File    string // as it was given to Load or Parse
	Line    int    // from 1; 0 where there is no file to point into
	Column  int    // from 1, in bytes; 0 where unknown
	Path    string // the key, such as `routes[2].upstream` (indexes from 0); "" for the file as a whole
	Message string // what is wrong
	Remedy  string // what to do about it; may be ""
	Warning bool   // likely not meant, but usable
	Denied  bool   // this process may not open what the key names
}

// String is the problem on one line: `edge.toml:41: routes[2].upstream: no upstream "api"; did you mean "app"?`.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return oneLine(b.String())
}

// oneLine escapes control characters: a problem may quote what the file says, and that may be anything.
func oneLine(s string) string {
	if strings.IndexFunc(s, unicode.IsControl) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// denied says whether what a message is made of has an error of a file that may not be opened.
func denied(args []any) bool {
	return slices.ContainsFunc(args, func(a any) bool {
		err, is := a.(error)
		return is && errors.Is(err, fs.ErrPermission)
	})
}

// Problems is a list of problems in the order of the file. As an error it is never empty.
type Problems []Problem

// Sort puts the problems in the order of the file.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Error is the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
