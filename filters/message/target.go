package message

import "strings"

// Classes of bytes in a request target.
const (
	targetByte  = 1 << iota // may stand in a target: visible ASCII but "#" (T39, T40)
	targetPlain             // in a path, begins no escape, ends no segment and is no dot
)

var targetClass = func() (t [256]uint8) {
	for c := '!'; c <= '~'; c++ {
		if c != '#' {
			t[c] |= targetByte
			if !strings.ContainsRune("%/.;?\\", c) {
				t[c] |= targetPlain
			}
		}
	}
	return t
}()

// IsTarget says whether c may stand in a request target: visible ASCII but "#" (T39, T40).
func IsTarget(c byte) bool { return targetClass[c]&targetByte != 0 }

// PathFault is what is wrong with a path.
type PathFault uint8

// What CheckPath finds.
const (
	PathOK     PathFault = iota
	PathByte             // a byte that may not stand there
	PathEscape           // an escape that is none, or stands for what may not be there
	PathDots             // a dot segment
)

// CheckPath refuses a path that others could read in another way than the route table and the filters do: dot segments,
// also escaped, and before ";" or an escaped delimiter (T37); escapes that are none, that stand for NUL, CR or LF, or
// for an overlong form (T38); a raw backslash. The query is passed on as it stands (U90). target begins with "/".
func CheckPath(target string) PathFault {
	dots := 0 // of a segment that has nothing else so far; -1 once it has
	for i := 0; i < len(target); i++ {
		c := target[i]
		if targetClass[c]&targetPlain != 0 {
			dots = -1
			continue
		}
		switch c {
		case '?':
			return dotsFault(dots)
		case '\\':
			return PathByte
		case '%':
			var f PathFault
			if c, f = escape(target[i:]); f != PathOK {
				return f
			}
			i += 2
		}
		switch c {
		case '.':
			if dots >= 0 {
				dots++
			}
		case '/', '\\', ';':
			if f := dotsFault(dots); f != PathOK {
				return f
			}
			if dots = 0; c == ';' {
				dots = -1
			}
		default:
			dots = -1
		}
	}
	return dotsFault(dots)
}

func dotsFault(dots int) PathFault {
	if dots == 1 || dots == 2 {
		return PathDots
	}
	return PathOK
}

// escape decodes the escape at the front of s, and looks at the one behind it where only both together are overlong.
func escape(s string) (byte, PathFault) {
	c, valid := unescape(s)
	if !valid || c == 0 || c == '\r' || c == '\n' {
		return 0, PathEscape
	}
	if c >= 0xc0 {
		if next, also := unescape(s[3:]); also && overlong(c, next) {
			return 0, PathEscape
		}
	}
	return c, PathOK
}

func unescape(s string) (c byte, valid bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	hi, lo := hexValue(s[1]), hexValue(s[2])
	return hi<<4 | lo, hi < 16 && lo < 16
}

// hexValue is the value of a hexadecimal digit, 255 for any other byte.
func hexValue(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// overlong says whether two bytes begin a UTF-8 form longer than its character needs (RFC 3629 section 3), which some
// decoders read as an ASCII character. Single bytes above 0x7f pass: they may be another encoding.
func overlong(first, second byte) bool {
	if second&0xc0 != 0x80 {
		return false
	}
	switch {
	case first <= 0xc1, first >= 0xf8:
		return true
	case first == 0xe0:
		return second < 0xa0
	case first == 0xf0:
		return second < 0x90
	}
	return false
}
