package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

// Unlimited is the size "unlimited".
const Unlimited Size = math.MaxInt64

// String is the size as the file writes it.
func (s Size) String() string {
	switch {
	case s == Unlimited:
		return "unlimited"
	case s >= 1<<30 && s%(1<<30) == 0:
		return fmt.Sprintf("%dGiB", s>>30)
	case s >= 1<<20 && s%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", s>>20)
	case s >= 1<<10 && s%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", s>>10)
	}
	return fmt.Sprintf("%dB", int64(s))
}

// ParseSize reads a size: "512B", "32KiB", "1MiB", "2GiB" or "unlimited".
func ParseSize(text string) (Size, error) {
	if text == "unlimited" {
		return Unlimited, nil
	}
	unit := strings.TrimLeft(text, "0123456789")
	digits := text[:len(text)-len(unit)]
	shift, ok := map[string]uint{"B": 0, "KiB": 10, "MiB": 20, "GiB": 30}[unit]
	if !ok || digits == "" {
		return 0, fmt.Errorf("%q is not a size", text)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is too large", text)
	}
	return Size(n << shift), nil
}

// Rate is a least speed: Bytes in every Per. The zero Rate is none.
type Rate struct {
	Bytes Size
	Per   time.Duration
}

// String is the rate as the file writes it.
func (r Rate) String() string {
	if r == (Rate{}) {
		return "off"
	}
	return r.Bytes.String() + "/" + r.Per.String()
}

// ParseRate reads a rate: "1KiB/5s", or "off".
func ParseRate(text string) (Rate, error) {
	if text == "off" {
		return Rate{}, nil
	}
	size, per, ok := strings.Cut(text, "/")
	if !ok {
		return Rate{}, fmt.Errorf("%q is not a rate", text)
	}
	bytes, err := ParseSize(size)
	if err != nil {
		return Rate{}, err
	}
	d, err := time.ParseDuration(per)
	if err != nil {
		return Rate{}, fmt.Errorf("%q is not a duration", per)
	}
	if bytes <= 0 || bytes == Unlimited || d < time.Second {
		return Rate{}, fmt.Errorf("%q is not at least 1B in at least 1s", text)
	}
	return Rate{bytes, d}, nil
}

// Address is a socket's address. The zero Address is none.
type Address struct {
	Network string // "tcp", "unix"
	Addr    string // "host:port", or the path of a unix socket; "@name" is an abstract one
	TLS     bool   // of an upstream's server: "https://…"
	H2C     bool   // of an upstream's server: "h2c://…"
}

// String is the address as the file writes it.
func (a Address) String() string {
	text := a.Addr
	if a.Network == "unix" {
		text = "unix:" + text
	}
	switch {
	case a.TLS:
		return "https://" + text
	case a.H2C:
		return "h2c://" + text
	}
	return text
}

// maxUnixPath is the longest path of a unix socket: sun_path of unix(7) without its NUL.
const maxUnixPath = 107

var errUnixPath = fmt.Errorf("the path of a unix socket has 1 to %d bytes", maxUnixPath)

// parseAddress reads "host:port" or "unix:path", the path joined to dir where it is relative.
func parseAddress(text string, join func(string) string) (Address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return Address{}, errUnixPath
		}
		if path[0] != '@' {
			path = join(path)
		}
		if len(path) > maxUnixPath {
			return Address{}, errUnixPath
		}
		return Address{Network: "unix", Addr: path}, nil
	}
	host, port, err := splitHostPort(text)
	if err != nil {
		return Address{}, err
	}
	if host == "" {
		return Address{}, errors.New("the host is missing")
	}
	if port == 0 {
		return Address{}, errors.New("the port is 0")
	}
	if _, err := netip.ParseAddr(host); err != nil && hostProblem(host) != "" {
		return Address{}, fmt.Errorf("%q is not a host name or an address", host)
	}
	return Address{Network: "tcp", Addr: text}, nil
}

// splitHostPort is net.SplitHostPort with a numeric port of 0…65535.
func splitHostPort(text string) (host string, port uint16, err error) {
	host, digits, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port", text)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || strings.TrimLeft(digits, "0123456789") != "" {
		return "", 0, fmt.Errorf("%q is not a port", digits)
	}
	return host, uint16(n), nil
}

// hostProblem says what keeps s from being a host name, or "". Labels of letters, digits, "-" and "_", each of 1 to 63
// characters, 253 in all (RFC 1035 section 2.3.4); "_" is taken as service names have it.
func hostProblem(s string) string {
	if s == "" || len(s) > 253 {
		return "has not 1 to 253 characters"
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return "has a label that is empty or longer than 63 characters"
		}
		for i := range len(label) {
			if c := label[i] | 0x20; !('a' <= c && c <= 'z' || '0' <= label[i] && label[i] <= '9' || label[i] == '-' || label[i] == '_') {
				return fmt.Sprintf("has %q in it", label[i])
			}
		}
	}
	return ""
}
