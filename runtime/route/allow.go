package route

import "edge/filters/message"

// common are the methods that Allow names for a route that names none: RFC 9110 section 9 without CONNECT and TRACE,
// and PATCH (RFC 5789).
var common = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Allow appends the value of an Allow field (RFC 9110 section 10.2.1) to dst: the methods of those routes that a request
// fails to match by its method alone. It appends nothing where there is none: then the answer is 404 and not 405. It is
// for requests that Find has no route for, and costs about what Find costs.
func (t *Table) Allow(dst []byte, req *message.Request) []byte {
	a := allow{value: dst, start: len(dst)}
	s := search{table: t, req: req, path: req.Path(), best: int32(len(t.routes)), allow: &a}
	s.run()
	return a.value
}

// allow gathers methods while a search goes through the lists.
type allow struct {
	value []byte
	start int // where the methods begin in value
}

func (a *allow) list(s *search, positions []int32) {
	for _, i := range positions {
		r := &s.table.rules[i]
		if r.header(s.req) >= 0 {
			continue
		}
		methods := r.methods
		if len(methods) == 0 {
			methods = common
		}
		for _, m := range methods {
			a.add(m)
		}
	}
}

func (a *allow) add(method string) {
	for at := a.start; at < len(a.value); {
		end := at
		for end < len(a.value) && a.value[end] != ',' {
			end++
		}
		if string(a.value[at:end]) == method {
			return
		}
		at = end + len(", ")
	}
	if len(a.value) > a.start {
		a.value = append(a.value, ", "...)
	}
	a.value = append(a.value, method...)
}
