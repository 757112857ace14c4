package message

import (
	"net/netip"
	"strings"
)

// hostByte are the bytes of a host name as it is met in practice: RFC 3986 section 3.2.2 would also allow escapes and
// punctuation, which resolvers, certificates and routes would each read in their own way.
var hostByte = func() (t [256]bool) {
	for _, c := range "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" {
		t[c] = true
	}
	return t
}()

// ValidAuthority says whether s is a host with an optional port, and nothing more: no user information, no list, no
// path (T32). A host is a name, an IPv4 address, or an IPv6 address in brackets.
func ValidAuthority(s string) bool {
	if s == "" {
		return false
	}
	if s[0] == '[' {
		end := strings.IndexByte(s, ']')
		return end > 0 && validIPv6(s[1:end]) && validPort(s[end+1:])
	}
	i, dot := 0, true
	for ; i < len(s) && hostByte[s[i]]; i++ {
		if s[i] == '.' {
			if dot {
				return false
			}
			dot = true
			continue
		}
		dot = false
	}
	return i > 0 && i <= maxHostBytes && validPort(s[i:])
}

const maxHostBytes = 255 // a host name (RFC 1035 section 2.3.4)

func validIPv6(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; hexValue(c) == 255 && c != ':' && c != '.' {
			return false
		}
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}

// validPort says whether s is empty or ":" and a port from 1 to 65535 without leading zeros.
func validPort(s string) bool {
	if s == "" {
		return true
	}
	if len(s) < 2 || len(s) > 6 || s[0] != ':' || s[1] == '0' {
		return false
	}
	port := 0
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		port = port*10 + int(s[i]-'0')
	}
	return port <= 65535
}

// HasPort says whether a valid authority names a port.
func HasPort(s string) bool { return strings.LastIndexByte(s, ':') > strings.LastIndexByte(s, ']') }
