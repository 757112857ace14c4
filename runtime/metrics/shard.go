package metrics

import (
	"sync/atomic"
	"time"
)

// Route is a route's index in a Set, from [Set.Route].
type Route uint16

// Method is a method's index, from MethodOf.
type Method uint8

// Protocol is a protocol's index.
type Protocol uint8

// The protocols, as the label is written.
const (
	HTTP10 Protocol = iota
	HTTP11
	HTTP2
	protocols
)

var protocolNames = [protocols]string{"http/1.0", "http/1.1", "h2"}

// methodNames are the methods that have a label of their own: those of RFC 9110 with PATCH (RFC 5789) and QUERY (RFC
// 10008). Any other is _OTHER, so that clients cannot make series.
var methodNames = [...]string{"_OTHER", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}

const methods = len(methodNames)

// MethodOf is the index of a method, which is compared with regard to case.
func MethodOf(name string) Method {
	switch name {
	case "GET":
		return 1
	case "HEAD":
		return 2
	case "POST":
		return 3
	case "PUT":
		return 4
	case "DELETE":
		return 5
	case "CONNECT":
		return 6
	case "OPTIONS":
		return 7
	case "TRACE":
		return 8
	case "PATCH":
		return 9
	case "QUERY":
		return 10
	}
	return 0
}

// buckets are the upper bounds of the duration histogram, in ascending order: OpenTelemetry's advice for
// http.server.request.duration, and below it some more, as what edge answers itself takes far less than 5 ms.
var buckets = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 75 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 7500 * time.Millisecond, 10 * time.Second,
}

// routeCounts are one worker's counts of one route. They are made when the worker first meets the route, and the codes
// when it first meets method and protocol there.
type routeCounts struct {
	codes         [methods * int(protocols)]atomic.Pointer[[codeSlots]atomic.Uint64]
	durations     [len(buckets) + 1]atomic.Uint64 // requests in each bucket; the last is above every bound
	durationNanos atomic.Uint64
	requestBytes  atomic.Uint64
	responseBytes atomic.Uint64 // the end of the seventh cache line
}

// Shard is one worker's part of the counters: workers count side by side without sharing a cache line, and a scrape
// adds the parts up. A shard may be used by several goroutines at once, but then they contend.
type Shard struct {
	begun  atomic.Uint64
	_      [56]byte
	routes [MaxRoutes]atomic.Pointer[routeCounts]
	_      [64]byte
}

// Begin counts a request as in flight, until Request is called for it, on this shard or another.
func (s *Shard) Begin() { s.begun.Add(1) }

// Request counts a request that Begin has counted and that is over, however it ended: its route, method, the status
// sent (0 where nothing was), protocol, duration from the first byte in to the last byte out, and the bytes of the two
// bodies. It allocates the first time a worker meets a combination of route, method and protocol, and never after.
func (s *Shard) Request(route Route, method Method, status int, proto Protocol, took time.Duration, inBytes, outBytes int64) {
	if int(route) >= MaxRoutes {
		route = otherRoute
	}
	if int(method) >= methods {
		method = 0
	}
	if proto >= protocols {
		proto = HTTP11
	}
	r := s.routes[route].Load()
	if r == nil {
		r = first(&s.routes[route])
	}
	at := &r.codes[int(method)*int(protocols)+int(proto)]
	codes := at.Load()
	if codes == nil {
		codes = first(at)
	}
	codes[codeSlot(status)].Add(1)
	took = max(took, 0)
	r.durations[bucketOf(took)].Add(1)
	r.durationNanos.Add(uint64(took))
	if inBytes > 0 {
		r.requestBytes.Add(uint64(inBytes))
	}
	if outBytes > 0 {
		r.responseBytes.Add(uint64(outBytes))
	}
}

// first fills an empty place, or finds that another goroutine just has.
func first[T any](at *atomic.Pointer[T]) *T {
	at.CompareAndSwap(nil, new(T))
	return at.Load()
}

// bucketOf is the index of the first bucket whose bound is not below d.
func bucketOf(d time.Duration) int {
	if d <= buckets[0] {
		return 0
	}
	low, high := 1, len(buckets)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if d <= buckets[mid] {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}
