package server

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"edge/filters"
	"edge/filters/message"
	"edge/runtime/accesslog"
	"edge/runtime/http1"
	"edge/runtime/metrics"
)

// record counts the exchange, and writes its line of the access log.
func (x *exchange) record() {
	cn := x.conn
	now := cn.c.Now() // the turn's clock has not moved since its start, and the work of this turn counts too
	took := time.Duration(now - x.began)
	route := x.site.none
	if x.plan != nil {
		route = x.plan.metric
	}
	cn.local.shard.Request(route, metrics.MethodOf(x.req.Method), x.status, protocolOf(x.req.Version), took, x.requestIn, x.replyOut)
	if cn.srv.current().AccessLog == nil {
		return
	}
	r := accesslog.Record{
		RequestID: x.requestID(), Scheme: x.req.Scheme,
		Method: x.req.Method, Host: x.req.Authority, Path: x.req.Path(), Query: x.req.Query(), Protocol: x.req.Version.String(),
		Status: x.status, RequestBytes: x.requestIn, ResponseBytes: x.replyOut, Duration: took,
		UserAgent: x.req.Header.Value("user-agent"), Referer: x.req.Header.Value("referer"),
		Flags: x.causeFlag,
	}
	if x.route != nil {
		r.Route = x.route.Name
	}
	if x.firstByte != 0 {
		r.FirstByte = time.Duration(x.firstByte - x.began)
	}
	if s := x.leg.Server(); s != nil && x.plan != nil {
		r.Upstream, r.Retries = s.Label(), x.leg.Retries()
		r.UpstreamStatus, r.UpstreamDuration = x.leg.Status(), time.Duration(now-x.leg.Began())
	}
	if peer := cn.c.Peer().Addr(); x.client != peer {
		cn.local.client = x.client.AppendTo(cn.local.client[:0])
		r.ClientIP = view(cn.local.client)
	}
	if x.route != nil && len(x.route.Filters) > 0 {
		cn.local.filters = x.chain.AppendFilters(cn.local.filters[:0])
		r.Filters = view(cn.local.filters)
	}
	x.outcome(&r)
	cn.log(&r, took)
}

// outcome adds what the chain knows of the answer.
func (x *exchange) outcome(r *accesslog.Record) {
	o := x.chain.Outcome()
	if r.Flags == "" && o.Flag != filters.FlagNone {
		r.Flags = o.Flag.String()
	}
	r.Details = x.details()
}

// details is why the answer is what it is, or "".
func (x *exchange) details() string {
	o := x.chain.Outcome()
	return cmp.Or(x.cause, o.Cause, o.Details)
}

// log fills in what the connection knows and writes a line.
func (cn *conn) log(r *accesslog.Record, took time.Duration) {
	o := cn.srv.current()
	if o.AccessLog == nil { // it was not, before
		return
	}
	peer := cn.c.Peer()
	cn.local.ip = peer.Addr().AppendTo(cn.local.ip[:0])
	ip := view(cn.local.ip)
	r.TLSVersion, r.SNI = versionName(cn.tlsVersion), cn.name
	r.Time, r.ConnectionID, r.Listener = cn.srv.now().Add(-took), cn.c.ID(), cn.c.Listener().Name
	if r.RemoteIP, r.RemotePort = ip, peer.Port(); r.ClientIP == "" {
		r.ClientIP = ip
	}
	cn.local.line = accesslog.Append(cn.local.line[:0], o.AccessFormat, r)
	o.AccessLog.Write(cn.local.line)
}

// logRefused writes a line for bytes that were not a request, or a head that did not come in time.
func (h *http1Conn) logRefused(status int, flag, details string) {
	if h.cn.srv.current().AccessLog != nil {
		h.cn.log(&accesslog.Record{Status: status, Flags: flag, Details: details}, time.Duration(h.cn.t.Now-h.since))
	}
}

func protocolOf(v message.Version) metrics.Protocol {
	switch v {
	case message.HTTP10:
		return metrics.HTTP10
	case message.HTTP2:
		return metrics.HTTP2
	}
	return metrics.HTTP11
}

// view is b as a string that shares its bytes.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// rejects counts what the parser refused, by reason. The reasons are constants of package http1.
type rejects struct{ byReason sync.Map } // string → *atomic.Uint64

func (r *rejects) count(bad *http1.Error) {
	n, ok := r.byReason.Load(bad.Reason)
	if !ok {
		n, _ = r.byReason.LoadOrStore(bad.Reason, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

// Rejects are the numbers of messages refused by the parser, by reason, for a scrape.
func (s *Server) Rejects() (counts []metrics.Count) {
	s.rejects.byReason.Range(func(reason, n any) bool {
		counts = append(counts, metrics.Count{Label: reason.(string), N: n.(*atomic.Uint64).Load()})
		return true
	})
	return counts
}

// HTTP2Faults are the numbers of what HTTP/2 clients did wrong, or too often, for a scrape.
func (s *Server) HTTP2Faults() (list []metrics.Fault) {
	s.http2Counts.Each(func(scope, reason string, n uint64) {
		list = append(list, metrics.Fault{Scope: scope, Reason: reason, N: n})
	})
	return list
}
