//go:build wasip1

// security-headers sets the response headers that browsers protect visitors by: Strict-Transport-Security,
// Content-Security-Policy, X-Content-Type-Options, X-Frame-Options, Referrer-Policy. A header that the origin has set
// stays, unless "override" says otherwise.
//
// Configuration: {"headers": {"content-security-policy": "default-src 'self'", "x-frame-options": ""}, "override": true}
// Each header named replaces the value built in, and "" leaves that header out. All of it is optional.
//
// Build: ../build.sh security-headers, which is
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o security-headers.wasm .
package main

import (
	"encoding/json"
	"slices"
)

type config struct {
	Headers  map[string]string `json:"headers"`
	Override bool              `json:"override"`
}

type header struct{ name, value string }

var (
	headers  []header
	override bool
)

func builtIn() map[string]string {
	return map[string]string{
		"strict-transport-security": "max-age=31536000; includeSubDomains",
		"content-security-policy":   "default-src 'self'; object-src 'none'; base-uri 'self'; frame-ancestors 'self'",
		"x-content-type-options":    "nosniff",
		"x-frame-options":           "SAMEORIGIN",
		"referrer-policy":           "strict-origin-when-cross-origin",
	}
}

// configure reads the configuration; false refuses it.
func configure(text []byte) bool {
	var c config
	if len(text) > 0 {
		if err := json.Unmarshal(text, &c); err != nil {
			logError("the configuration is not as it should be: " + err.Error())
			return false
		}
	}
	all := builtIn()
	for name, value := range c.Headers {
		all[name] = value
	}
	headers, override = nil, c.Override
	for name, value := range all {
		if value != "" {
			headers = append(headers, header{name, value})
		}
	}
	slices.SortFunc(headers, func(a, b header) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return true
}

func responseHeaders() {
	for _, h := range headers {
		if override || !hasHeader(responseMap, h.name) {
			setHeader(responseMap, h.name, h.value)
		}
	}
}

func main() {}
