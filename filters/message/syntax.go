package message

// Character classes of RFC 9110 section 5.6.2 (tchar) and 5.5 (field-value).
const (
	tokenChar = 1 << iota // may stand in a field name or a method
	valueChar             // may stand in a field value: VCHAR, obs-text, SP, HTAB
)

var class = func() (t [256]uint8) {
	for c := 0x21; c < 0x7f; c++ {
		t[c] |= valueChar
	}
	for c := 0x80; c < 0x100; c++ {
		t[c] |= valueChar
	}
	t[' '] |= valueChar
	t['\t'] |= valueChar
	for _, c := range "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" {
		t[c] |= tokenChar
	}
	return t
}()

// IsToken says whether c may stand in a token (RFC 9110 section 5.6.2).
func IsToken(c byte) bool { return class[c]&tokenChar != 0 }

// IsValue says whether c may stand in a field value (RFC 9110 section 5.5): no control but HTAB, no DEL.
func IsValue(c byte) bool { return class[c]&valueChar != 0 }

// ValidName says whether s is a field name: a token of at least one character.
func ValidName(s string) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&tokenChar == 0 {
			return false
		}
	}
	return len(s) > 0
}

// ValidValue says whether s is a field value that can be forwarded as it stands: no control characters, no white space
// at either end.
func ValidValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&valueChar == 0 {
			return false
		}
	}
	return s == "" || (!blank(s[0]) && !blank(s[len(s)-1]))
}

func blank(c byte) bool { return c == ' ' || c == '\t' }
