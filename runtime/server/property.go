package server

import (
	"strings"

	"edge/filters"
)

// Property is part of filters.Host: attributes by Envoy's names, segments joined by NUL. Only what does not change while filters may
// ask is looked at, or what the asking filter owns: the messages.
func (x *exchange) Property(path string) (filters.Value, bool) {
	group, name, _ := strings.Cut(strings.TrimSuffix(path, "\x00"), "\x00")
	switch group {
	case "request":
		return x.requestProperty(name)
	case "response":
		return x.responseProperty(name)
	case "source":
		return address(x.conn.c.Peer(), name)
	case "destination":
		return address(x.conn.c.Local(), name)
	case "connection":
		return x.connectionProperty(name)
	case "route_name":
		return x.routeName()
	case "xds":
		if name == "route_name" {
			return x.routeName()
		}
	}
	return filters.Value{}, false
}

func (x *exchange) requestProperty(name string) (filters.Value, bool) {
	r := &x.req
	name, field, sub := strings.Cut(name, "\x00")
	switch name {
	case "path":
		return text(r.Target), true
	case "url_path":
		return text(r.Path()), true
	case "query":
		return text(r.Query()), true
	case "host":
		return text(r.Authority), true
	case "scheme":
		return text(r.Scheme), true
	case "method":
		return text(r.Method), true
	case "protocol":
		return text(r.Version.String()), true
	case "id":
		return text(x.requestID()), true
	case "referer":
		return optional(r.Header.Get("referer"))
	case "useragent":
		return optional(r.Header.Get("user-agent"))
	case "time":
		return filters.Value{Kind: filters.Time, Num: x.conn.srv.options.Now().UnixNano()}, true
	case "headers_bytes":
		return number(int64(r.Header.Size())), true
	case "headers":
		if sub {
			return optional(r.Header.Get(field))
		}
		return filters.Value{Kind: filters.Map, Fields: &r.Header}, true
	}
	return filters.Value{}, false
}

func (x *exchange) responseProperty(name string) (filters.Value, bool) {
	r := &x.resp
	if r.Status == 0 {
		return filters.Value{}, false
	}
	name, field, sub := strings.Cut(name, "\x00")
	switch name {
	case "code":
		return number(int64(r.Status)), true
	case "headers_bytes":
		return number(int64(r.Header.Size())), true
	case "headers":
		if sub {
			return optional(r.Header.Get(field))
		}
		return filters.Value{Kind: filters.Map, Fields: &r.Header}, true
	case "trailers":
		if sub {
			return optional(r.Trailer.Get(field))
		}
		return filters.Value{Kind: filters.Map, Fields: &r.Trailer}, true
	}
	return filters.Value{}, false
}

func (x *exchange) routeName() (filters.Value, bool) {
	if x.route == nil {
		return filters.Value{}, false
	}
	return text(x.route.Name), true
}

func text(s string) filters.Value { return filters.Value{Kind: filters.Bytes, Text: s} }

func number(n int64) filters.Value { return filters.Value{Kind: filters.Int, Num: n} }

func optional(s string, ok bool) (filters.Value, bool) { return text(s), ok }
