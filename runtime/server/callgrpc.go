package server

import (
	"encoding/binary"
	"strconv"

	"edge/filters"
	"edge/filters/message"
	"edge/mpm"
	"edge/runtime/upstream"
)

// callParts is how many parts of one call's answer a filter is brought in one turn.
const callParts = 32

// grpcCall is what a callout of gRPC is beyond one of HTTP. Both ways are bounded: what the filter sends waits in its outbox until the leg
// has room, and so until the server's windows have; of what comes, one message at a time is put together, and no more is taken of the leg
// before the filter has had it.
//
//	filter ──► outbox ──► leg        leg ──► in ──► Initial, Message …, Closed ──► filter
type grpcCall struct {
	outbox *filters.Outbox
	head   bool           // Initial is to be brought
	alone  bool           // the answer is nothing but a head, whose fields are trailers (Trailers-Only)
	none   message.Fields // its initial metadata
	in     []byte         // body that has come …
	at     int            // … but for what has been brought
	whole  int            // bytes of the message, with its prefix, that lies whole at at; 0: there is none
	reply  []byte         // of a GRPCCall: the one message, with its prefix
	code   int            // how it has ended
	text   string
	part   filters.CallAnswer // memory for a part while it is brought
}

// beginGRPC makes the body, or what it is to be.
func (co *callout) beginGRPC(c *filters.Call, wake func()) {
	co.grpc.outbox = c.Outbox
	co.req.Length = message.UnknownLength
	if co.kind == filters.GRPCCall {
		co.sends = filters.AppendMessage(nil, c.Body)
		co.req.Length = int64(len(co.sends))
	}
	c.Outbox.Attach(wake)
}

// waits says whether there is a part to be brought, before which nothing more is taken of the answer.
func (co *callout) waits() bool { return co.grpc.head || co.grpc.whole > 0 }

// cancelled says whether the filter has given the call up; what has not been brought is dropped then.
func (co *callout) cancelled() bool {
	if co.kind == filters.HTTPCall || !co.grpc.outbox.Cancelled() {
		return false
	}
	co.grpc.head, co.grpc.whole = false, 0
	return true
}

// stepGRPC moves messages on, both ways.
func (co *callout) stepGRPC(t *mpm.Turn, to asker) {
	g := &co.grpc
	if co.kind == filters.GRPCStream {
		co.send(t.Now)
	}
	for range callParts {
		if co.dropped || !co.waits() {
			return
		}
		g.part = filters.CallAnswer{Part: filters.Message}
		if g.head {
			g.part = filters.CallAnswer{Part: filters.Initial, Header: &co.resp.Header}
			if g.alone {
				g.part.Header = &g.none
			}
		} else {
			g.part.Body = g.in[g.at+filters.MessagePrefix : g.at+g.whole]
		}
		if co.refused = !to.callDone(co, &g.part); co.refused {
			return
		}
		if g.head {
			g.head = false
			continue
		}
		g.at += g.whole
		co.look()
	}
}

// send gives the leg what the filter has sent, as far as the server takes it.
func (co *callout) send(now int64) {
	for !co.ended && co.leg.Active() && co.leg.Pending() < upstream.HighWater {
		co.sends, co.ended = co.grpc.outbox.Take(co.sends[:0], upstream.HighWater)
		if len(co.sends) == 0 && !co.ended {
			return
		}
		co.leg.Write(co.sends, co.ended, now)
	}
}

// headGRPC looks at an answer's head (gRPC's PROTOCOL-HTTP2, Responses).
func (co *callout) headGRPC() {
	g, r := &co.grpc, &co.resp
	g.head = true
	switch _, said := grpcStatus(&r.Header); {
	case said && co.leg.Whole():
		g.alone = true
	case r.Status != 200:
		co.refuse(grpcCode(r.Status), "HTTP status "+strconv.Itoa(r.Status))
	case !r.Header.GRPC():
		co.refuse(grpcUnknown, "the answer is not of gRPC")
	}
}

func (co *callout) bodyGRPC(p []byte) {
	g := &co.grpc
	if g.at > 0 {
		g.in, g.at = g.in[:copy(g.in, g.in[g.at:])], 0
	}
	g.in = append(g.in, p...)
	co.look()
}

// look looks for the next message in what has come. Compressed ones are refused, as none were asked for, but for one of no bytes.
func (co *callout) look() {
	g := &co.grpc
	g.whole = 0
	for b := g.in[g.at:]; len(b) >= filters.MessagePrefix; b = g.in[g.at:] {
		n := uint64(binary.BigEndian.Uint32(b[1:]))
		switch {
		case b[0] != 0 && n > 0:
			co.refuse(grpcInternal, "a compressed message")
			return
		case n > filters.MaxMessage:
			co.refuse(grpcExhausted, "a message of "+strconv.FormatUint(n, 10)+" bytes")
			return
		case filters.MessagePrefix+n > uint64(len(b)):
			return
		case co.kind == filters.GRPCStream:
			g.whole = filters.MessagePrefix + int(n)
			return
		case g.reply != nil:
			co.refuse(grpcInternal, "not one message of gRPC")
			return
		}
		g.reply = append([]byte(nil), b[:filters.MessagePrefix+n]...)
		g.at += len(g.reply)
	}
}

// refuse ends a call for what came of it.
func (co *callout) refuse(code int, text string) {
	if co.over {
		return
	}
	co.grpc.code, co.grpc.text = code, text
	co.giveUp()
}

// endGRPC looks at how an answer has ended.
func (co *callout) endGRPC() {
	g := &co.grpc
	tail := &co.resp.Trailer
	if g.alone {
		tail = &co.resp.Header
	}
	code, said := grpcStatus(tail)
	g.code, g.text = code, grpcText(tail.Value("grpc-message"))
	switch {
	case !said:
		g.code, g.text = grpcUnknown, "no grpc-status"
	case code != 0:
	case len(g.in) > g.at && g.whole == 0:
		g.code, g.text = grpcInternal, "half a message of gRPC"
	case co.kind == filters.GRPCCall && g.reply == nil:
		g.code, g.text = grpcInternal, "not one message of gRPC"
	}
}

// failGRPC is for an answer that does not come, or not to its end.
func (co *callout) failGRPC(c upstream.Cause) {
	co.grpc.code, co.grpc.text = grpcOfCause(c), c.String()
	if code, reset := co.leg.ResetBy(); reset {
		co.grpc.code, co.grpc.text = grpcOfReset(code), "the server has reset the stream: "+code.String()
	}
}

// closed is the last part.
func (co *callout) closed() *filters.CallAnswer {
	g := &co.grpc
	g.part = filters.CallAnswer{Part: filters.Closed, Status: g.code, Text: g.text, Header: &co.resp.Header, Trailer: &co.resp.Trailer}
	if g.alone {
		g.part.Header, g.part.Trailer = &g.none, &co.resp.Header
	}
	if g.reply != nil && g.code == 0 {
		g.part.Body = g.reply[filters.MessagePrefix:]
	}
	return &g.part
}
