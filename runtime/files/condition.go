package files

import (
	"strconv"
	"strings"
	"time"

	"edge/filters/message"
)

// wanted is what one pass over a request's header found.
type wanted struct {
	ifMatch, ifNoneMatch, acceptEncoding bool // lists, read from the header where they are present
	modifiedSince, unmodifiedSince       single
	ranges, ifRange                      single
}

// single is a field that may stand once. Where it stands twice its value is void: RFC 9110 sections 13.1.3 and 13.1.4
// ask for it, and for Range and If-Range it is the safe reading.
type single struct {
	value string
	lines int
}

func (s *single) add(value string) {
	s.lines++
	s.value = value
	if s.lines > 1 {
		s.value = ""
	}
}

func (w *wanted) read(h *message.Fields) {
	for i := range h.Len() {
		name, value := h.At(i)
		switch name {
		case "if-match":
			w.ifMatch = true
		case "if-none-match":
			w.ifNoneMatch = true
		case "accept-encoding":
			w.acceptEncoding = true
		case "if-modified-since":
			w.modifiedSince.add(value)
		case "if-unmodified-since":
			w.unmodifiedSince.add(value)
		case "range":
			w.ranges.add(value)
		case "if-range":
			w.ifRange.add(value)
		}
	}
}

// judgement is what the preconditions come to.
type judgement uint8

const (
	proceed judgement = iota
	notModified
	preconditionFailed
)

// judge evaluates the preconditions of a GET or HEAD in the order of RFC 9110 section 13.2.2. date is the file's
// last-modified value, nil where it has none, and sec the same as a number.
func (w *wanted) judge(h *message.Fields, etag, date []byte, sec int64) judgement {
	if w.ifMatch {
		if !matches(h, "if-match", etag, false) {
			return preconditionFailed
		}
	} else if w.unmodifiedSince.value != "" && date != nil {
		if t, ok := parseDate(w.unmodifiedSince.value, date, sec); ok && sec > t {
			return preconditionFailed
		}
	}
	if w.ifNoneMatch {
		if matches(h, "if-none-match", etag, true) {
			return notModified
		}
	} else if w.modifiedSince.value != "" && date != nil {
		if t, ok := parseDate(w.modifiedSince.value, date, sec); ok && sec <= t {
			return notModified
		}
	}
	return proceed
}

// rangeApplies says whether the Range field, if any, is to be honoured (RFC 9110 sections 13.1.5 and 14.2).
func (w *wanted) rangeApplies(etag, date []byte) bool {
	if w.ranges.value == "" {
		return false
	}
	if w.ifRange.lines == 0 {
		return true
	}
	v := w.ifRange.value
	return v != "" && (v == string(etag) || v == string(date))
}

// matches says whether a list of entity tags, in all field lines of a name, holds "*" or our tag (RFC 9110 section
// 8.8.3.2). Ours is strong; weak says whether a weak tag with the same text counts. What follows a malformed tag in a
// line is not read.
func matches(h *message.Fields, name string, etag []byte, weak bool) bool {
	for i := range h.Len() {
		if n, list := h.At(i); n == name && listMatches(list, etag, weak) {
			return true
		}
	}
	return false
}

func listMatches(list string, etag []byte, weak bool) bool {
	for {
		list = strings.TrimLeft(list, " \t,")
		if list == "" {
			return false
		}
		if list[0] == '*' {
			return true
		}
		rest, isWeak := strings.CutPrefix(list, "W/")
		if rest == "" || rest[0] != '"' {
			return false
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return false
		}
		if rest[:end+2] == string(etag) && (weak || !isWeak) {
			return true
		}
		list = rest[end+2:]
	}
}

// maxETag is the most bytes of an entity tag: two numbers of 64 bits, two separators, a coding and the quotes.
const maxETag = 2*16 + 2 + 4 + 2

// appendETag appends the file's entity tag: a strong one of modification time and size, different for each coding. Two
// versions of one size share a tag only if they were written within one tick of the file system's clock.
func appendETag(b []byte, f *found, c coding) []byte {
	b = append(b, '"')
	b = strconv.AppendUint(b, uint64(f.sec*1e9+f.nsec), 16)
	b = append(b, '-')
	b = strconv.AppendUint(b, uint64(f.size), 16)
	if c != identity {
		b = append(b, '-')
		b = append(b, c.name()...)
	}
	return append(b, '"')
}

// httpDate is the preferred form of a date (RFC 9110 section 5.6.7), as package time writes it.
const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// obsoleteDates are the other two forms that have to be understood.
var obsoleteDates = [...]string{"Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}

func appendDate(b []byte, sec int64) []byte { return time.Unix(sec, 0).UTC().AppendFormat(b, httpDate) }

// parseDate reads a date in any of the three forms. Most clients send back what they got: ours is not parsed.
func parseDate(s string, ours []byte, sec int64) (int64, bool) {
	if s == string(ours) {
		return sec, true
	}
	t, err := time.Parse(httpDate, s)
	for i := 0; err != nil && i < len(obsoleteDates); i++ {
		t, err = time.Parse(obsoleteDates[i], s)
	}
	return t.Unix(), err == nil
}
