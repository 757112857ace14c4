// Package message holds what the codecs make of the bytes on a connection and what filters see and change: requests,
// responses, their fields and their bodies. It knows no protocol version and no socket.
package message

import (
	"strings"
	"unsafe"
)

// Fields is an ordered list of field lines (RFC 9110 section 5). Names are lower case, duplicates are kept in order.
//
// The zero value is ready. Fields copies what it is given into memory of its own, so callers may pass views of buffers
// that are about to be reused. What it hands out are views of that memory: they stay valid until Reset, whatever is
// added or deleted meanwhile. A Fields has one owner at a time, the owner of its message.
type Fields struct {
	text  []byte // bytes of every name and value; append only between two Resets
	lines []line
}

type line struct{ name, value string }

// Reset empties the list and keeps its memory. Every view handed out before is void.
func (f *Fields) Reset() {
	f.text = f.text[:0]
	clear(f.lines) // views may be of memory that is not the list's, and must not keep it
	f.lines = f.lines[:0]
}

// Len is the number of field lines.
func (f *Fields) Len() int { return len(f.lines) }

// At returns line i, 0 ≤ i < Len.
func (f *Fields) At(i int) (name, value string) { return f.lines[i].name, f.lines[i].value }

// Size is the number of bytes of all names and values, with 4 for the ": " and CRLF of each line as HTTP/1 sends them.
func (f *Fields) Size() int {
	n := 0
	for i := range f.lines {
		n += len(f.lines[i].name) + len(f.lines[i].value) + 4
	}
	return n
}

// Get returns the first value of a name, which must be lower case.
func (f *Fields) Get(name string) (value string, ok bool) {
	for i := range f.lines {
		if f.lines[i].name == name {
			return f.lines[i].value, true
		}
	}
	return "", false
}

// Value is Get without the second result: the first value, or "".
func (f *Fields) Value(name string) string {
	v, _ := f.Get(name)
	return v
}

// Has says whether a line with this lower-case name is there.
func (f *Fields) Has(name string) bool {
	_, ok := f.Get(name)
	return ok
}

// Count is the number of lines with this lower-case name.
func (f *Fields) Count(name string) int {
	n := 0
	for i := range f.lines {
		if f.lines[i].name == name {
			n++
		}
	}
	return n
}

// Add appends a line. The name is stored in lower case; neither part is checked: codecs check what they read, and
// [ValidName] and [ValidValue] are for everybody else.
func (f *Fields) Add(name, value string) {
	f.lines = append(f.lines, line{f.keepLower(name), f.Keep(value)})
}

// Set replaces the first line of that name and deletes the others, or appends one.
func (f *Fields) Set(name, value string) {
	name = lower(f, name)
	for i := range f.lines {
		if f.lines[i].name == name {
			f.lines[i].value = f.Keep(value)
			f.deleteFrom(i+1, name)
			return
		}
	}
	f.Add(name, value)
}

// Delete removes every line of a name, in any case, and says how many there were.
func (f *Fields) Delete(name string) int { return f.deleteFrom(0, lower(f, name)) }

func (f *Fields) deleteFrom(from int, name string) int {
	kept := from
	for i := from; i < len(f.lines); i++ {
		if f.lines[i].name != name {
			f.lines[kept] = f.lines[i]
			kept++
		}
	}
	n := len(f.lines) - kept
	f.lines = f.lines[:kept]
	return n
}

// DeleteFunc removes the lines for which del returns true.
func (f *Fields) DeleteFunc(del func(name, value string) bool) {
	kept := f.lines[:0]
	for _, l := range f.lines {
		if !del(l.name, l.value) {
			kept = append(kept, l)
		}
	}
	f.lines = kept
}

// CopyFrom makes f equal to src.
func (f *Fields) CopyFrom(src *Fields) {
	f.Reset()
	for i := range src.lines {
		f.lines = append(f.lines, line{f.Keep(src.lines[i].name), f.Keep(src.lines[i].value)})
	}
}

// Keep copies s into the list's memory and returns the copy, valid until Reset. Message parts that are not fields
// (a path, an authority) are kept here too, so that one message is one piece of memory.
func (f *Fields) Keep(s string) string {
	if len(s) == 0 {
		return ""
	}
	at := len(f.text)
	f.text = append(f.text, s...)
	return view(f.text[at:])
}

func (f *Fields) keepLower(s string) string {
	if len(s) == 0 {
		return ""
	}
	at := len(f.text)
	f.text = append(f.text, s...)
	b := f.text[at:]
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return view(b)
}

// lower returns name in lower case, copying only where it must.
func lower(f *Fields, name string) string {
	for i := 0; i < len(name); i++ {
		if c := name[i]; 'A' <= c && c <= 'Z' {
			return f.keepLower(name)
		}
	}
	return name
}

// view is b as a string that shares its bytes. Fields never writes a byte of text twice between two Resets, which is
// what makes the views safe.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// HasToken says whether a comma-separated list (RFC 9110 section 5.6.1) in any line of this lower-case name contains
// the token, compared without regard to case.
func (f *Fields) HasToken(name, token string) bool {
	for i := range f.lines {
		if f.lines[i].name == name && ListHasToken(f.lines[i].value, token) {
			return true
		}
	}
	return false
}

// ListHasToken says whether a comma-separated list contains the token, compared without regard to case.
func ListHasToken(list, token string) bool {
	for list != "" {
		item := list
		if i := strings.IndexByte(list, ','); i >= 0 {
			item, list = list[:i], list[i+1:]
		} else {
			list = ""
		}
		if strings.EqualFold(strings.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}
