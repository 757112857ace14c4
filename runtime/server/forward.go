package server

import (
	"edge/filters"
	"edge/runtime/http1"
	"edge/runtime/upstream"
)

// forward is the action that asks an upstream.
func (x *exchange) forward(p *upstream.Pool, end bool) {
	cn := x.conn
	if x.req.Method == "CONNECT" {
		x.answer(501, "NR", "connect is not supported")
		return
	}
	if hops := viaHops(&x.req.Header); hops >= maxHops { // U89
		x.answer(508, "LD", "the request has passed here too often")
		return
	}
	via(&x.req.Header, x.req.Version)
	if x.req.Authority == "" {
		x.req.Authority = p.Name() // HTTP/1.0 without Host: HTTP/1.1 wants one
	}
	end = end || x.req.Upgrade != "" // what follows is the other protocol's
	opts := http1.RequestOptions{Upgrade: x.req.Upgrade, Trailers: x.to.takesTrailers()}
	x.leg.Begin(cn.c, p, &x.req, &x.resp, opts, &x.site.settings.ResponseLimits, x.hashKey(p), end, cn.t.Now, x)
}

// hashKey is what a pool that balances by hash goes by.
func (x *exchange) hashKey(p *upstream.Pool) uint64 {
	header, ok := p.HashBy()
	switch {
	case !ok:
		return 0
	case header == "":
		var buf [64]byte
		return upstream.HashKey(view(x.client.AppendTo(buf[:0])))
	}
	return upstream.HashKey(x.req.Header.Value(header))
}

// The exchange as upstream.Receiver: what the leg brings goes into the chain.

// Accepts is back-pressure: the client has to take what there is first.
func (x *exchange) Accepts() bool { return x.roomy() && x.chain.Accepts(filters.Response) }

// Interim passes a 1xx on, but for the 100 that edge sends itself, and never to an HTTP/1.0 client (S28).
func (x *exchange) Interim() {
	if x.resp.Status != 100 && x.req.Version >= http11 {
		x.to.interim(x.resp.Status, &x.resp.Header)
	}
	x.resp.Reset()
}

// Head takes the upstream's answer.
func (x *exchange) Head() {
	if x.leg.Tunnel() {
		x.chain.ResponseHead(true)
		return
	}
	via(&x.resp.Header, http11)
	x.chain.ResponseHead(x.leg.Whole())
}

// Body takes a piece of it.
func (x *exchange) Body(p []byte) { x.chain.ResponseBody(p, false) }

// End is its end.
func (x *exchange) End() {
	if x.resp.Trailer.Len() > 0 {
		x.chain.ResponseTrailers()
	} else {
		x.chain.ResponseBody(nil, true)
	}
}

// Failed answers for an upstream that did not, or cuts an answer off that stays incomplete.
func (x *exchange) Failed(c upstream.Cause) {
	if code, reset := x.leg.ResetBy(); reset {
		x.resetAs = grpcOfReset(code)
	}
	x.answer(c.Status(), c.Flag(), c.String())
}
