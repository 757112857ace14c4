package accesslog

import (
	"strconv"
	"strings"
	"time"
)

// appendCommon appends the NCSA formats as Apache's mod_log_config writes them; the time zone is UTC. The second and
// third column, the remote user, are always "-".
func appendCommon(b []byte, r *Record, combined bool) []byte {
	b = orDash(b, r.ClientIP)
	b = append(b, " - - ["...)
	b = appendApacheTime(b, r.Time)
	b = append(b, `] "`...)
	if r.Method == "" {
		b = append(b, '-')
	} else {
		b = escape(b, r.Method)
		b = append(b, ' ')
		b = escape(b, r.Path)
		if r.Query != "" {
			b = append(b, '?')
			b = escape(b, r.Query)
		}
		b = append(b, ' ')
		b = escape(b, r.Protocol)
	}
	b = append(b, `" `...)
	b = orDashNumber(b, int64(r.Status))
	b = append(b, ' ')
	b = orDashNumber(b, r.ResponseBytes)
	if combined {
		b = append(b, ` "`...)
		b = orDash(b, withoutUserURL(r.Referer))
		b = append(b, `" "`...)
		b = orDash(b, r.UserAgent)
		b = append(b, '"')
	}
	return b
}

func orDash(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	return escape(b, s)
}

func orDashNumber(b []byte, n int64) []byte {
	if n == 0 {
		return append(b, '-')
	}
	return strconv.AppendInt(b, n, 10)
}

// appendApacheTime appends "10/Oct/2000:13:55:36 +0000".
func appendApacheTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(two(b, day), '/')
	b = append(b, month.String()[:3]...)
	b = append(b, '/')
	b = two(two(b, year/100), year%100)
	b = two(append(b, ':'), hour)
	b = two(append(b, ':'), minute)
	b = two(append(b, ':'), second)
	return append(b, " +0000"...)
}

// escape appends s as Apache's ap_escape_logitem does: quote and backslash with a backslash, the controls that C has a
// letter for by it, every other byte that does not print in ASCII as \xhh.
func escape(b []byte, s string) []byte {
	cut := len(s) > MaxText
	if cut {
		s = s[:MaxText]
	}
	for i := 0; i < len(s); i++ {
		start := i
		for i < len(s) && plainJSON[s[i]] {
			i++
		}
		b = append(b, s[start:i]...)
		if i == len(s) {
			break
		}
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		case '\v':
			b = append(b, `\v`...)
		default:
			b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	if cut {
		b = append(b, "..."...)
	}
	return b
}

// withoutUser is an authority without its user information (RFC 3986 section 3.2.1).
func withoutUser(authority string) string { return authority[strings.LastIndexByte(authority, '@')+1:] }

// withoutUserURL is a URL, or "" where its authority has user information, which a client must not send (RFC 9110
// section 10.1.3).
func withoutUserURL(url string) string {
	_, rest, ok := strings.Cut(url, "//")
	if !ok {
		return url
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	if strings.IndexByte(rest, '@') >= 0 {
		return ""
	}
	return url
}
