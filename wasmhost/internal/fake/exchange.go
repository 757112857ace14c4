// Package fake stands in for a server in the tests of the Wasm host: an exchange that remembers what a filter asked for.
package fake

import (
	"fmt"
	"sync/atomic"

	"edge/filters"
	"edge/filters/message"
)

// Exchange is a filters.Exchange that one test plays the chain of. All but Wakes belong to the test's goroutine, or to
// the lane's holder while the stream is paused.
type Exchange struct {
	Req  message.Request
	Resp message.Response

	Bodies    [2]*message.Body // what Held returns
	Continued [2]int
	Replies   []filters.Reply
	Aborts    int
	Calls     []filters.Call // deep copies
	Lines     []string
	Props     map[string]filters.Value
	Headed    bool  // Respond is too late
	CallError error // what Call returns
	Quiet     bool  // keeps no lines, replies and calls: for measurements

	Wakes atomic.Int64
}

// New is an exchange with a plain GET request.
func New() *Exchange {
	x := &Exchange{Props: map[string]filters.Value{}}
	x.Fill()
	return x
}

// Fill makes the messages what they are at the start.
func (x *Exchange) Fill() {
	x.Req.Reset()
	x.Resp.Reset()
	x.Req.Method, x.Req.Scheme, x.Req.Authority, x.Req.Target = "GET", "http", "example.com", "/a?b=c"
	x.Req.Version = message.HTTP11
	x.Req.Header.Add("user-agent", "test/1.0")
	x.Req.Header.Add("accept", "*/*")
	x.Resp.Status = 200
	x.Resp.Header.Add("content-type", "text/plain")
}

var _ filters.Exchange = (*Exchange)(nil)

// Request implements filters.Exchange.
func (x *Exchange) Request() *message.Request { return &x.Req }

// Response implements filters.Exchange.
func (x *Exchange) Response() *message.Response { return &x.Resp }

// Held implements filters.Exchange.
func (x *Exchange) Held(d filters.Direction) *message.Body { return x.Bodies[d] }

// Continue implements filters.Exchange.
func (x *Exchange) Continue(d filters.Direction) { x.Continued[d]++ }

// Respond implements filters.Exchange.
func (x *Exchange) Respond(r *filters.Reply) error {
	if x.Headed {
		return filters.ErrTooLate
	}
	if x.Quiet {
		return nil
	}
	c := filters.Reply{Status: r.Status, Details: clone(r.Details), Body: append([]byte(nil), r.Body...)}
	c.Header = clonePairs(r.Header)
	x.Replies = append(x.Replies, c)
	return nil
}

// Abort implements filters.Exchange.
func (x *Exchange) Abort() { x.Aborts++ }

// Wake implements filters.Exchange.
func (x *Exchange) Wake() { x.Wakes.Add(1) }

// Call implements filters.Exchange. Ids are 1, 2, 3 …
func (x *Exchange) Call(c *filters.Call) (uint32, error) {
	if x.CallError != nil {
		return 0, x.CallError
	}
	if x.Quiet {
		return 1, nil
	}
	x.Calls = append(x.Calls, filters.Call{
		Upstream: clone(c.Upstream), Method: clone(c.Method), Authority: clone(c.Authority), Target: clone(c.Target),
		Header: clonePairs(c.Header), Body: append([]byte(nil), c.Body...), Trailer: clonePairs(c.Trailer), Timeout: c.Timeout,
		Kind: c.Kind, Outbox: c.Outbox,
	})
	return uint32(len(x.Calls)), nil
}

// Property implements filters.Exchange.
func (x *Exchange) Property(path string) (filters.Value, bool) {
	v, found := x.Props[path]
	return v, found
}

// SetProperty implements filters.Exchange.
func (x *Exchange) SetProperty(path string, value []byte) error {
	if len(x.Props) >= filters.MaxProperties {
		return filters.ErrPropertyLimit
	}
	x.Props[path] = filters.Value{Text: string(value)}
	return nil
}

// Log implements filters.Exchange.
func (x *Exchange) Log(level filters.Level, text string) {
	if !x.Quiet {
		x.Lines = append(x.Lines, fmt.Sprintf("%d %s", level, text))
	}
}

func clone(s string) string { return string([]byte(s)) }

func clonePairs(pairs [][2]string) [][2]string {
	var out [][2]string
	for _, p := range pairs {
		out = append(out, [2]string{clone(p[0]), clone(p[1])})
	}
	return out
}
