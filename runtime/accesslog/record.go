// Package accesslog writes what happened: one line for each exchange (access log), and the process's own messages
// (Logger). Both go through a [Writer], which takes lines at the speed of memory, hands them to the disk from a
// goroutine of its own, and drops and counts what the disk cannot keep up with. No worker ever waits for a log.
package accesslog

import (
	"fmt"
	"time"
)

// Record is one finished exchange. Its strings are read during [Append] only and may be views. An empty string and a
// zero time mean that there is none. There are no fields for credentials, and none may be added: what cannot be
// recorded cannot leak.
type Record struct {
	Time         time.Time // when the request's first byte came
	ConnectionID uint64    // requirement P9
	RequestID    string
	Route        string
	Listener     string
	ClientIP     string // whom the request is from, once trusted proxies are believed
	RemoteIP     string // whom the connection is from
	RemotePort   uint16

	Method   string
	Scheme   string
	Host     string
	Path     string // as received, without the query
	Query    string // without the "?"
	Protocol string // "HTTP/1.1"

	TLSVersion string // "TLSv1.3"
	SNI        string // the name that the client asked for in its handshake

	Status        int   // 0: nothing was sent
	RequestBytes  int64 // of the body
	ResponseBytes int64 // of the body
	Duration      time.Duration
	FirstByte     time.Duration // from the request's first byte to the response's; 0: nothing was sent

	Upstream         string // the address that was asked last
	UpstreamStatus   int
	UpstreamDuration time.Duration
	Retries          int

	Filters string // that took part, with what became of them: see filters.Chain.AppendFilters

	UserAgent string
	Referer   string
	Flags     string // why the answer is what it is, in two letters each, comma separated: UH, UF, UT …
	Details   string // the same in words, from a filter or the server
}

// Format is the shape of a line.
type Format uint8

const (
	JSON     Format = iota // one object a line, every field of Record
	Common                 // Apache's "%h %l %u %t \"%r\" %>s %b"
	Combined               // Common with Referer and User-Agent
)

// ParseFormat reads a format's name in the configuration: json, common, combined.
func ParseFormat(name string) (Format, error) {
	switch name {
	case "json":
		return JSON, nil
	case "common":
		return Common, nil
	case "combined":
		return Combined, nil
	}
	return 0, fmt.Errorf("no log format %q: json, common or combined", name)
}

// Append appends r as one line that ends in LF. It allocates only where dst is too short; a line has at most [MaxLine]
// bytes. Whatever the fields hold, the line stays one line and of its format (threat R80): control characters are
// escaped, and in JSON bytes that are not UTF-8 are replaced by U+FFFD. User information in a host is left out, and so
// is a referer that has any.
func Append(dst []byte, f Format, r *Record) []byte {
	if f == JSON {
		dst = appendJSON(dst, r)
	} else {
		dst = appendCommon(dst, r, f == Combined)
	}
	return append(dst, '\n')
}
