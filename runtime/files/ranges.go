package files

import "strings"

// part is a part of a file, in bytes.
type part struct{ start, length int64 }

// outcome is what a Range field comes to.
type outcome uint8

const (
	whole         outcome = iota // not a range for us: answer 200
	partial                      // 206
	unsatisfiable                // 416
)

// parseRange reads a Range value for a file of size bytes (RFC 9110 section 14.1.2). One range of bytes is answered
// with that part. Everything else is answered with the whole file, as section 14.2 allows: another unit, a malformed value,
// and several ranges, so that no request can make an answer longer than the file (threat T44). A range of an empty file
// is answered with the empty file.
func parseRange(s string, size int64) (part, outcome) {
	const unit = "bytes="
	if len(s) < len(unit) || !strings.EqualFold(s[:len(unit)], unit) || size == 0 {
		return part{}, whole
	}
	s = strings.Trim(s[len(unit):], " \t,")
	if strings.IndexByte(s, ',') >= 0 {
		return part{}, whole
	}
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		return part{}, whole
	}
	if first == "" {
		n, ok := digits(last)
		switch {
		case !ok:
			return part{}, whole
		case n == 0:
			return part{}, unsatisfiable
		}
		n = min(n, size)
		return part{size - n, n}, partial
	}
	start, ok := digits(first)
	if !ok {
		return part{}, whole
	}
	end := size - 1
	if last != "" {
		if end, ok = digits(last); !ok || end < start {
			return part{}, whole
		}
	}
	if start >= size {
		return part{}, unsatisfiable
	}
	return part{start, min(end, size-1) - start + 1}, partial
}

// maxNumber is where numbers in a Range field stop growing: more than any file has bytes, and ten times it is an int64.
const maxNumber = 1 << 59

// digits reads a decimal number of any length; one above maxNumber counts as maxNumber.
func digits(s string) (n int64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(n*10+int64(s[i]-'0'), maxNumber)
	}
	return n, s != ""
}
