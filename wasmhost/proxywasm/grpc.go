package proxywasm

import (
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"edge/filters"
	"edge/filters/message"
)

// grpcCalls are the gRPC calls to upstreams.
//
// A call of one message and one answer is an HTTP request as any other call is, and carried as one: gRPC's framing is made and taken off
// here. Calls that stream do not exist: starting one is parseFailure, the ABI's answer to an upstream that the host does not know, once
// its arguments are checked; and as none has begun, there is none to send on.
var grpcCalls = map[string]hostCall{
	"proxy_grpc_call":   {params: "anananxnanio", call: grpcCall},
	"proxy_grpc_stream": {params: "anananxno", call: grpcStream},
	"proxy_grpc_send":   {params: "iani", call: grpcSend},
	"proxy_grpc_cancel": {params: "i", call: grpcCancel},
	"proxy_grpc_close":  {params: "i", call: grpcCancel},
}

// MaxGRPCMessage is the most bytes of a message that a guest sends.
const MaxGRPCMessage = 1 << 20

// grpcPrefix is the size of what stands before each message: whether it is compressed, and its length.
const grpcPrefix = 5

// Codes of gRPC that the host itself says.
const (
	grpcOK          = 0
	grpcCancelled   = 1
	grpcUnknown     = 2
	grpcInternal    = 13
	grpcUnavailable = 14
)

// grpcCall has an upstream, a service, a method, initial metadata, a message, a timeout, and where the id goes. Who carries it, and what
// bounds it, is as for httpCall. An upstream the filter may not call is parseFailure.
func grpcCall(i *Instance, a []uint64) status {
	body, fits := i.read(a[8], a[9])
	if !fits || !i.writable32(a[11]) {
		return i.refuse(invalidMemoryAccess)
	}
	c := &i.scratch.call
	if s := i.grpcTarget(a, c); s != ok {
		return i.refuse(s)
	}
	if i.exports.grpcReceive == nil && i.exports.grpcClose == nil || len(body) > MaxGRPCMessage {
		return i.refuse(internalFailure)
	}
	c.Timeout = time.Duration(uint32(a[10])) * time.Millisecond
	if c.Timeout > 0 {
		c.Header = append(c.Header, [2]string{"grpc-timeout", grpcTimeout(uint32(a[10]))})
	}
	framed := append(i.scratch.framed[:0], 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(framed[1:], uint32(len(body)))
	framed = append(framed, body...)
	c.Body, i.scratch.framed = framed, framed[:0]
	return i.makeCall(c, true, a[11])
}

// grpcTimeout is so many milliseconds as gRPC writes a time: at most eight digits.
func grpcTimeout(ms uint32) string {
	if ms > 99_999_999 {
		return strconv.Itoa(int(ms/1000)) + "S"
	}
	return strconv.Itoa(int(ms)) + "m"
}

// grpcStream has the same without message and timeout.
func grpcStream(i *Instance, a []uint64) status {
	if !i.writable32(a[8]) {
		return i.refuse(invalidMemoryAccess)
	}
	if s := i.grpcTarget(a, &i.scratch.call); s != ok {
		return i.refuse(s)
	}
	return i.refuse(parseFailure)
}

// grpcTarget reads what both begin with into c.
func (i *Instance) grpcTarget(a []uint64, c *filters.Call) status {
	upstream, fits := i.readString(a[0], a[1])
	service, fits2 := i.readString(a[2], a[3])
	method, fits3 := i.readString(a[4], a[5])
	metadata, fits4 := i.read(a[6], a[7])
	if !fits || !fits2 || !fits3 || !fits4 {
		return invalidMemoryAccess
	}
	pairs, valid := getPairs(i.scratch.pairs[:0], metadata)
	i.scratch.pairs = pairs[:0]
	if !valid {
		return badArgument
	}
	if !i.plugin.Upstreams[upstream] {
		return parseFailure
	}
	*c = filters.Call{Upstream: upstream, Method: "POST", Authority: upstream, Target: "/" + service + "/" + method}
	header := append(i.scratch.trailer[:0], [2]string{"content-type", "application/grpc"})
	for _, p := range pairs {
		if p[0] == "" || p[0][0] == ':' || framing(p[0]) || equalFold("host", p[0]) || equalFold("te", p[0]) || equalFold("content-type", p[0]) ||
			equalFold("grpc-timeout", p[0]) {
			continue
		}
		header = append(header, p)
	}
	c.Header, i.scratch.trailer = header, header[:0]
	return ok
}

func grpcSend(i *Instance, a []uint64) status {
	if _, fits := i.read(a[1], a[2]); !fits {
		return i.refuse(invalidMemoryAccess)
	}
	return notFound
}

// grpcCancel has the guest hear no more of a call. What the call holds is given back when it has ended, at the latest by its timeout.
func grpcCancel(i *Instance, a []uint64) status {
	id := uint32(a[0])
	if id == 0 {
		return notFound
	}
	for _, s := range i.streams.slots {
		if s == nil {
			continue
		}
		for k := range s.calls {
			if c := &s.calls[k]; c.guest == id && c.grpc && !c.dropped {
				c.dropped = true
				return ok
			}
		}
	}
	for k := range i.root.calls {
		if c := &i.root.calls[k]; c.guest == id && c.grpc && !c.dropped {
			c.dropped = true
			return ok
		}
	}
	return notFound
}

// grpcDone tells the guest how a call has ended: proxy_on_grpc_receive where it was answered, else proxy_on_grpc_close, as Envoy does.
// During either, the maps and the buffer of gRPC are there, and proxy_get_status is the call's. code is for where there is no answer.
func (i *Instance) grpcDone(s *Stream, id uint32, answer *filters.CallAnswer, code uint32) error {
	i.grpc = grpcAnswer{code: code, message: "the call failed", under: true}
	defer func() { i.grpc = grpcAnswer{} }()
	if answer != nil {
		i.grpc.read(answer)
	}
	i.begin(s)
	i.active = nil
	switch g := &i.grpc; {
	case g.code == grpcOK && i.exports.grpcReceive != nil:
		return i.call(i.exports.grpcReceive, rootID, uint64(id), uint64(len(g.body)))
	case i.exports.grpcClose != nil:
		return i.call(i.exports.grpcClose, rootID, uint64(id), uint64(g.code))
	}
	return nil
}

// grpcAnswer is what a guest sees of a gRPC call's end, during the callback that tells of it.
type grpcAnswer struct {
	under   bool
	code    uint32
	message string
	body    []byte
	initial *message.Fields
	tail    *message.Fields
}

var errGRPC = errors.New("not one message of gRPC")

// read understands an answer.
func (g *grpcAnswer) read(a *filters.CallAnswer) {
	g.initial, g.tail = a.Header, a.Trailer
	g.code, g.message = grpcUnknown, "no grpc-status"
	if a.Status != 200 {
		g.code, g.message = grpcOfStatus(a.Status), "HTTP status "+strconv.Itoa(a.Status)
	}
	for _, f := range []*message.Fields{a.Trailer, a.Header} {
		if f == nil {
			continue
		}
		if n, err := strconv.ParseUint(f.Value("grpc-status"), 10, 32); err == nil {
			g.code, g.message = uint32(n), f.Value("grpc-message")
			break
		}
	}
	if g.code != grpcOK {
		return
	}
	body, err := grpcMessage(a.Body)
	if err != nil {
		g.code, g.message = grpcInternal, err.Error()
		return
	}
	g.body = body
}

// grpcMessage takes the framing off a body of one message.
func grpcMessage(b []byte) ([]byte, error) {
	if len(b) < grpcPrefix || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-grpcPrefix) {
		return nil, errGRPC
	}
	return b[grpcPrefix:], nil
}

// grpcOfStatus is gRPC's mapping of HTTP statuses.
func grpcOfStatus(status int) uint32 {
	switch status {
	case 400:
		return grpcInternal
	case 401:
		return 16
	case 403:
		return 7
	case 404:
		return 12
	case 429, 502, 503, 504:
		return grpcUnavailable
	}
	return grpcUnknown
}
