package server

import (
	"strconv"
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
	case "upstream":
		return x.upstreamProperty(name)
	case "xds":
		return x.siteProperty(name)
	}
	return x.siteProperty(group)
}

// siteProperty is what Envoy has under "xds", and for older guests without it.
func (x *exchange) siteProperty(name string) (filters.Value, bool) {
	switch name {
	case "route_name":
		if x.route != nil {
			return text(x.route.Name), true
		}
	case "cluster_name":
		if x.plan != nil && x.plan.pool != nil {
			return text(x.plan.pool.Name()), true
		}
	case "listener_direction":
		return number(inbound), true
	}
	return filters.Value{}, false
}

// inbound is the direction of every listener here, as Envoy's TrafficDirection numbers them.
const inbound = 1

// upstreamProperty tells of the server that has answered, or was to, from the response's head on.
func (x *exchange) upstreamProperty(name string) (filters.Value, bool) {
	if x.resp.Status == 0 || x.leg.Server() == nil {
		return filters.Value{}, false
	}
	label := x.leg.Server().Label()
	switch name {
	case "address":
		return text(label), true
	case "port":
		if n, err := strconv.ParseUint(label[strings.LastIndexByte(label, ':')+1:], 10, 16); err == nil {
			return number(int64(n)), true
		}
	case "request_attempt_count":
		return number(int64(x.leg.Retries() + 1)), true
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
		return filters.Value{Kind: filters.Time, Num: x.conn.srv.now().UnixNano() - (x.conn.c.Now() - x.began)}, true
	case "duration":
		end := x.endedAt.Load()
		return number(end - x.began), end != 0
	case "size":
		return x.atEnd(&x.requestIn, 0)
	case "total_size":
		return x.atEnd(&x.requestIn, r.Header.Size()+r.Trailer.Size())
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
	case "code_details":
		if x.endedAt.Load() != 0 {
			details := x.details()
			return optional(details, details != "")
		}
	case "grpc_status":
		v, found := r.Trailer.Get("grpc-status")
		if !found { // a response of nothing but trailers, as gRPC calls it
			v, found = r.Header.Get("grpc-status")
		}
		n, err := strconv.ParseUint(v, 10, 31)
		return number(int64(n)), found && err == nil
	case "size":
		return x.atEnd(&x.replyOut, 0)
	case "total_size":
		return x.atEnd(&x.replyOut, r.Header.Size()+r.Trailer.Size())
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

// atEnd is a count of body bytes, and more, that is only known once the exchange is over: in a filter's last callbacks. Before,
// it changes on the connection's turn while a filter may ask elsewhere, and is not looked at.
func (x *exchange) atEnd(count *int64, more int) (filters.Value, bool) {
	if x.endedAt.Load() == 0 {
		return filters.Value{}, false
	}
	return number(*count + int64(more)), true
}

func text(s string) filters.Value { return filters.Value{Kind: filters.Bytes, Text: s} }

func number(n int64) filters.Value { return filters.Value{Kind: filters.Int, Num: n} }

func optional(s string, ok bool) (filters.Value, bool) { return text(s), ok }
