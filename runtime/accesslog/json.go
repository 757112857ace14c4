package accesslog

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// MaxText is the most bytes of one text field that are logged, before escaping; the rest is cut off and shown as "…".
const MaxText = 16 << 10

// MaxLine is the most bytes of a line: every text field at its longest, every byte of it escaped.
const MaxLine = 20*(6*MaxText+64) + 1024

func appendJSON(b []byte, r *Record) []byte {
	b = append(b, `{"ts":"`...)
	b = appendTime(b, r.Time)
	b = append(b, '"')
	b = strconv.AppendUint(append(b, `,"connection_id":`...), r.ConnectionID, 10)
	b = text(b, `,"request_id":`, r.RequestID)
	b = text(b, `,"route":`, r.Route)
	b = text(b, `,"listener":`, r.Listener)
	b = text(b, `,"client_ip":`, r.ClientIP)
	b = text(b, `,"remote_ip":`, r.RemoteIP)
	b = number(b, `,"remote_port":`, int64(r.RemotePort))
	b = text(b, `,"method":`, r.Method)
	b = text(b, `,"scheme":`, r.Scheme)
	b = text(b, `,"host":`, withoutUser(r.Host))
	b = text(b, `,"path":`, r.Path)
	b = text(b, `,"query":`, r.Query)
	b = text(b, `,"protocol":`, r.Protocol)
	b = text(b, `,"tls_version":`, r.TLSVersion)
	b = text(b, `,"sni":`, r.SNI)
	b = number(b, `,"status":`, int64(r.Status))
	b = number(b, `,"request_bytes":`, r.RequestBytes)
	b = number(b, `,"response_bytes":`, r.ResponseBytes)
	b = millis(b, `,"duration_ms":`, r.Duration)
	b = millis(b, `,"ttfb_ms":`, r.FirstByte)
	if r.Upstream != "" {
		b = text(b, `,"upstream":`, r.Upstream)
		b = number(b, `,"upstream_status":`, int64(r.UpstreamStatus))
		b = millis(b, `,"upstream_duration_ms":`, r.UpstreamDuration)
		b = number(b, `,"retries":`, int64(r.Retries))
	}
	b = text(b, `,"user_agent":`, r.UserAgent)
	b = text(b, `,"referer":`, withoutUserURL(r.Referer))
	b = text(b, `,"filters":`, r.Filters)
	b = text(b, `,"flags":`, r.Flags)
	b = text(b, `,"details":`, r.Details)
	return append(b, '}')
}

// text appends a key and its value, or nothing for an empty one.
func text(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendQuoted(append(b, key...), value)
}

func number(b []byte, key string, n int64) []byte {
	return strconv.AppendInt(append(b, key...), n, 10)
}

// millis appends a duration in milliseconds with three decimals.
func millis(b []byte, key string, d time.Duration) []byte {
	us := max(d.Microseconds(), 0)
	b = strconv.AppendInt(append(b, key...), us/1000, 10)
	return append(b, '.', digit(us/100), digit(us/10), digit(us))
}

func digit(n int64) byte { return '0' + byte(n%10) }

// appendTime appends t in UTC as RFC 3339 with milliseconds.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = two(two(b, year/100), year%100)
	b = two(append(b, '-'), int(month))
	b = two(append(b, '-'), day)
	b = two(append(b, 'T'), hour)
	b = two(append(b, ':'), minute)
	b = two(append(b, ':'), second)
	ms := int64(t.Nanosecond() / 1e6)
	return append(b, '.', digit(ms/100), digit(ms/10), digit(ms), 'Z')
}

func two(b []byte, n int) []byte { return append(b, '0'+byte(n/10%10), '0'+byte(n%10)) }

const hexDigits = "0123456789abcdef"

// plainJSON are the bytes that stand for themselves in a JSON string.
var plainJSON = func() (t [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendQuoted appends s as a JSON string. Beyond what RFC 8259 asks for, DEL, the C1 controls and the line
// separators U+2028 and U+2029 are escaped too, for the terminals and scripts that logs are read with.
func appendQuoted(b []byte, s string) []byte {
	cut := len(s) > MaxText
	if cut {
		end := MaxText
		for end > MaxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	b = append(b, '"')
	for i := 0; i < len(s); {
		start := i
		for i < len(s) && plainJSON[s[i]] {
			i++
		}
		b = append(b, s[start:i]...)
		if i == len(s) {
			break
		}
		if c := s[i]; c < utf8.RuneSelf {
			i++
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, `\n`...)
			case '\r':
				b = append(b, `\r`...)
			case '\t':
				b = append(b, `\t`...)
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, `\ufffd`...)
		case r < 0xa0:
			b = append(b, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		case r == 0x2028 || r == 0x2029:
			b = append(b, '\\', 'u', '2', '0', '2', hexDigits[r&15])
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	if cut {
		b = append(b, "…"...)
	}
	return append(b, '"')
}
