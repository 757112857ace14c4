package main

import (
	"fmt"
	"strings"

	"edge/filters/message"
)

// requestHead writes the head of the request that a command line speaks of, for the codec to read as it reads a client's:
// what it refuses is refused here, and routes see the same bytes. What cannot be put into a head at all is an error.
func requestHead(method, url string, headers []string) (scheme, head string, err error) {
	if !message.ValidName(method) {
		return "", "", fmt.Errorf("%q is not a method", method)
	}
	if i := strings.IndexFunc(url, func(c rune) bool { return c <= ' ' || c == 0x7f }); i >= 0 || url == "" {
		return "", "", fmt.Errorf("%q is not a URL", url)
	}
	scheme, host, target, err := splitURL(method, url)
	if err != nil {
		return "", "", err
	}
	var fields strings.Builder
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		value = strings.Trim(value, " \t")
		if !ok || !message.ValidName(name) || !message.ValidValue(value) {
			return "", "", fmt.Errorf("%q is not a field: write it as 'name: value'", h)
		}
		if host == "" && strings.EqualFold(name, "host") {
			host = value
			continue
		}
		fmt.Fprintf(&fields, "%s: %s\r\n", name, value)
	}
	if host == "" {
		host = "localhost"
	}
	return scheme, fmt.Sprintf("%s %s HTTP/1.1\r\nhost: %s\r\n%s\r\n", method, target, host, fields.String()), nil
}

// splitURL cuts a URL into scheme, authority and request target, byte for byte.
func splitURL(method, url string) (scheme, host, target string, err error) {
	if method == "CONNECT" {
		return "http", url, url, nil // authority-form (RFC 9112 section 3.2.3)
	}
	scheme, rest, ok := strings.Cut(url, "://")
	switch {
	case url == "*" || strings.HasPrefix(url, "/"):
		return "http", "", url, nil
	case !ok || scheme != "http" && scheme != "https":
		return "", "", "", fmt.Errorf("%q: a URL begins with http://, https:// or /", url)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if host, target = rest[:end], rest[end:]; host == "" {
		return "", "", "", fmt.Errorf("%q: there is no host", url)
	}
	if target == "" || target[0] != '/' {
		target = "/" + target
	}
	return scheme, host, target, nil
}
