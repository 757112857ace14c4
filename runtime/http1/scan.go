package http1

import "bytes"

// scan remembers how far a head or a trailer section has been looked through while its end is not there yet, so that
// one that comes a byte at a time costs no more than one that comes whole. Positions count from the section's first
// byte, which the caller keeps at the front of what it feeds.
type scan struct {
	seen  int32 // bytes looked at
	line  int32 // where the line being looked at begins
	start int32 // length of the start line with its end, once that is known
}

var headEnd = []byte("\r\n\r\n")

// head looks for the end of a head: start line of at most startMax bytes, then field lines and the empty line of
// together at most fieldsMax. It returns the head's length, 0 where it is not whole yet. long is the fault of a start
// line beyond its bound.
//
// Where a head is whole at the first look, nothing but its end is looked for: the parser meets whatever else is wrong,
// and then calls recheck, so that the same fault is reported as for the same bytes in pieces.
func (s *scan) head(in []byte, startMax, fieldsMax int, long fault) (n int, f fault) {
	if s.seen == 0 {
		if i := bytes.Index(in[:min(len(in), startMax+fieldsMax)], headEnd); i >= 0 {
			return i + len(headEnd), ok
		}
	}
	return s.lines(in, startMax, fieldsMax, long)
}

// recheck is the fault that head would have reported for a whole head in pieces, or else f.
func recheck(head []byte, startMax, fieldsMax int, long, f fault) fault {
	var s scan
	if _, first := s.lines(head, startMax, fieldsMax, long); first != ok {
		return first
	}
	return f
}

// trailers looks for the end of a trailer section, the empty line, of at most max bytes.
func (s *scan) trailers(in []byte, max int) (n int, f fault) {
	return s.lines(in, 0, max, faultHeadTooLarge)
}

// lines goes on byte by byte from where it was. Line ends are CRLF and nothing else (RFC 9112 section 2.2, S18, S19).
func (s *scan) lines(in []byte, startMax, fieldsMax int, long fault) (n int, f fault) {
	at, line := int(s.seen), int(s.line)
	for ; at < len(in); at++ {
		switch {
		case startMax > 0 && s.start == 0:
			if at >= startMax {
				return 0, long
			}
		case at-int(s.start) >= fieldsMax:
			return 0, faultHeadTooLarge
		}
		afterCR := at > line && in[at-1] == '\r'
		if in[at] != '\n' {
			if afterCR {
				return 0, faultBareCR
			}
			continue
		}
		if !afterCR {
			return 0, faultBareLF
		}
		if at == line+1 {
			return at + 1, ok
		}
		line = at + 1
		if startMax > 0 && s.start == 0 {
			s.start = int32(line)
		}
	}
	s.seen, s.line = int32(at), int32(line)
	return 0, ok
}
