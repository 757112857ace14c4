package files

import "unicode/utf8"

// verdict is what the syntax of a path says before the file system is asked.
type verdict uint8

const (
	lookUp  verdict = iota // a name to look up
	missing                // 404: no file of ours can have that name (threat T43)
	invalid                // 400: not a well-formed path at all (threat T38)
)

// hexValue is a hexadecimal digit's value plus one, or 0 for any other byte.
var hexValue = func() (t [256]uint8) {
	for i, c := range "0123456789abcdef" {
		t[c] = uint8(i) + 1
	}
	for i, c := range "ABCDEF" {
		t[c] = uint8(i) + 11
	}
	return t
}()

// resolve makes of a request's path the name below the root, decoded once, without a leading slash: "" is the root
// itself. bare says that the path is the stripped prefix with no slash after it. The name lies in dst, and a path that
// does not fit there is missing.
//
// Segments are compared and refused after decoding. Empty segments, "." and ".." are not resolved but refused, so that
// a route's path, a filter's view and the file opened can never differ (threat T37). An encoded slash, a backslash in
// either form and a name that ends in a dot have no file; a NUL, a control character, a broken escape and what is not
// UTF-8 are errors.
func (a *Action) resolve(path string, dst []byte) (name []byte, bare bool, v verdict) {
	n := 0
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '%':
			if i+2 >= len(path) {
				return nil, false, invalid
			}
			hi, lo := hexValue[path[i+1]], hexValue[path[i+2]]
			if hi == 0 || lo == 0 {
				return nil, false, invalid
			}
			i += 2
			c = (hi-1)<<4 | (lo - 1)
			switch {
			case c == '/' || c == '\\':
				v = missing
			case c < ' ' || c == 0x7f:
				return nil, false, invalid
			}
		case c == '\\':
			v = missing
		case c <= ' ' || c >= 0x7f:
			return nil, false, invalid
		}
		if n == len(dst) {
			return nil, false, missing
		}
		dst[n] = c
		n++
	}
	name = dst[:n]
	if !utf8.Valid(name) {
		return nil, false, invalid
	}
	if v != lookUp {
		return nil, false, v
	}
	if len(name) < len(a.strip) || string(name[:len(a.strip)]) != a.strip {
		return nil, false, missing
	}
	name = name[len(a.strip):]
	if len(name) == 0 {
		return name, true, lookUp
	}
	if name[0] != '/' {
		return nil, false, missing
	}
	name = name[1:]
	if !a.plain(name) {
		return nil, false, missing
	}
	return name, false, lookUp
}

// plain says whether every segment of a decoded name may be looked up. The last one may be empty: a closing slash.
func (a *Action) plain(name []byte) bool {
	start := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		seg := name[start:i]
		start = i + 1
		if len(seg) == 0 {
			if i < len(name) {
				return false
			}
			continue
		}
		if seg[len(seg)-1] == '.' || (seg[0] == '.' && !a.dotfiles) {
			return false
		}
	}
	return true
}
