package message

// ParseLength reads a content-length (RFC 9110 section 8.6): digits and nothing else (S8, S9, S10, S11). digits is the
// value without leading zeros, a view of text.
func ParseLength(text string) (n int64, digits string, ok bool) {
	if text == "" {
		return 0, "", false
	}
	for len(text) > 1 && text[0] == '0' {
		text = text[1:]
	}
	if len(text) > 19 {
		return 0, "", false
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c < '0' || c > '9' {
			return 0, "", false
		}
		n = n*10 + int64(c-'0')
		if n < 0 {
			return 0, "", false
		}
	}
	return n, text, true
}
