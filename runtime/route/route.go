// Package route finds the route of a request: the first one, in file order, whose host, path, method and header
// conditions all hold.
//
// A [Table] is immutable; any number of workers may use it at once. Looking up allocates nothing.
package route

import (
	"strings"

	"edge/filters"
)

// Match is what a request must be like. The zero value matches every request but TRACE and CONNECT.
type Match struct {
	// Hosts are exact names, or "*." and a domain, which stands for one or more further labels. They are compared
	// without regard to case, port and a final dot. None means every host.
	Hosts []string

	// Path is an exact path, or a prefix when it ends in "*": "/api/*" matches "/api/" and all below, not "/api". It is
	// compared with the path's bytes as they were received (the codec refuses dot segments). "" means the same as "*".
	Path string

	// Methods are the methods as they are written, case and all. None means every method but TRACE and CONNECT
	// (threats T35, T36), which a route must name to get.
	Methods []string

	// Headers are values by field name: one field line of that name must have exactly that value. "*" stands for any
	// value: the field must be there. Names are compared without regard to case.
	Headers map[string]string
}

// Action is what a route does with a request when its filters have seen it: [Respond], [Redirect], or one of the
// packages that serve files and upstreams.
type Action interface {
	// ActionKind is "respond", "redirect", "files" or "upstream".
	ActionKind() string
}

// Route is one route. It must not change once it is in a table.
type Route struct {
	Name    string // unique in its table; stands in logs and metrics
	Match   Match
	Filters []filters.Filter // in request order; responses run back
	Action  Action
}

// Rest is the part of a path that the "*" of the route's path pattern stands for; "" where the pattern is exact.
func (r *Route) Rest(path string) string {
	prefix, wild := strings.CutSuffix(pattern(r.Match.Path), "*")
	if !wild {
		return ""
	}
	return strings.TrimPrefix(path, prefix)
}

func pattern(path string) string {
	if path == "" {
		return "*"
	}
	return path
}
