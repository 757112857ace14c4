package proxywasm

import (
	"errors"
	"strconv"
	"time"

	"github.com/tetratelabs/wazero/api"

	"edge/filters"
	"edge/filters/message"
)

// grpcCalls are the gRPC calls to upstreams. What the specification leaves open is as in Envoy.
//
//	proxy_grpc_call     one message, one answer:  initial_metadata, trailing_metadata, then receive with the answer, or close
//	proxy_grpc_stream   proxy_grpc_send …:        initial_metadata, receive …, trailing_metadata, close
//
// gRPC's framing is made and taken off by the server.
var grpcCalls = map[string]hostCall{
	"proxy_grpc_call":   {params: "anananxnanio", call: grpcCall},
	"proxy_grpc_stream": {params: "anananxno", call: grpcStream},
	"proxy_grpc_send":   {params: "iani", call: grpcSend},
	"proxy_grpc_cancel": {params: "i", call: grpcCancel},
	"proxy_grpc_close":  {params: "i", call: grpcClose},
}

// grpcTrailingAS is how guests made with the AssemblyScript SDK spell proxy_on_grpc_receive_trailing_metadata.
const grpcTrailingAS = "proxy_on_grpc_trailing_metadata"

// Codes of gRPC that the host itself looks at, or says.
const (
	grpcOK        = 0
	grpcCancelled = 1
)

// outbox is the guest's end of a gRPC call.
type outbox struct {
	*filters.Outbox
	streams bool
}

// open notes that the guest wants to hear of a call, if it is of gRPC.
func (i *Instance) open(id uint32, c *filters.Call) {
	if c.Outbox == nil {
		return
	}
	if i.outboxes == nil {
		i.outboxes = map[uint32]outbox{}
	}
	i.outboxes[id] = outbox{c.Outbox, c.Kind == filters.GRPCStream}
}

// grpcCall has an upstream, a service, a method, initial metadata, a message, a timeout, and where the id goes. Who carries it, and what
// bounds it, is as for httpCall. An upstream the filter may not call is parseFailure.
func grpcCall(i *Instance, a []uint64) status {
	body, fits := i.read(a[8], a[9])
	if !fits || !i.writable32(a[11]) {
		return i.refuse(invalidMemoryAccess)
	}
	c := &i.scratch.call
	if s := i.grpcTarget(a, c, filters.GRPCCall); s != ok {
		return i.refuse(s)
	}
	if i.exports.grpcReceive == nil && i.exports.grpcClose == nil || len(body) > filters.MaxMessage {
		return i.refuse(internalFailure)
	}
	c.Timeout = time.Duration(uint32(a[10])) * time.Millisecond
	if c.Timeout > 0 {
		c.Header = append(c.Header, [2]string{"grpc-timeout", grpcTimeout(uint32(a[10]))})
	}
	c.Body = body
	c.Outbox.End()
	return i.makeCall(c, a[11])
}

// grpcTimeout is so many milliseconds as gRPC writes a time: at most eight digits.
func grpcTimeout(ms uint32) string {
	if ms > 99_999_999 {
		return strconv.Itoa(int(ms/1000)) + "S"
	}
	return strconv.Itoa(int(ms)) + "m"
}

// grpcStream has the same without message and timeout. It ends with the stream that carries it, or when either side says so.
func grpcStream(i *Instance, a []uint64) status {
	if !i.writable32(a[8]) {
		return i.refuse(invalidMemoryAccess)
	}
	c := &i.scratch.call
	if s := i.grpcTarget(a, c, filters.GRPCStream); s != ok {
		return i.refuse(s)
	}
	return i.makeCall(c, a[8])
}

// grpcTarget reads what both begin with into c.
func (i *Instance) grpcTarget(a []uint64, c *filters.Call, kind filters.CallKind) status {
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
	*c = filters.Call{
		Kind: kind, Outbox: new(filters.Outbox), Upstream: upstream, Method: "POST", Authority: upstream,
		Target: "/" + service + "/" + method,
	}
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

// grpcSend puts a message on a stream, perhaps its last. Where the guest has to wait for the server to take others first, where it has said
// its last, and for a call that does not stream, it is badArgument: what SDKs bear.
func grpcSend(i *Instance, a []uint64) status {
	message, fits := i.read(a[1], a[2])
	if !fits {
		return i.refuse(invalidMemoryAccess)
	}
	o, found := i.outboxes[uint32(a[0])]
	if !found {
		return notFound
	}
	err := o.Send(message, uint32(a[3]) != 0)
	if errors.Is(err, filters.ErrOutbox) {
		i.plugin.Counters.FullOutbox.Add(1)
	}
	if err != nil {
		return i.refuse(badArgument)
	}
	return ok
}

// grpcCancel has the guest hear no more of a call, and the server too.
func grpcCancel(i *Instance, a []uint64) status {
	id := uint32(a[0])
	o, found := i.outboxes[id]
	if !found {
		return notFound
	}
	o.Cancel()
	delete(i.outboxes, id)
	return ok
}

// grpcClose ends the guest's side of a stream: it still hears what the server says. A call of one message is cancelled.
func grpcClose(i *Instance, a []uint64) status {
	o, found := i.outboxes[uint32(a[0])]
	switch {
	case !found:
		return notFound
	case !o.streams:
		return grpcCancel(i, a)
	}
	o.End()
	return ok
}

// grpcShown is what a guest sees of a gRPC call, during the callback that tells of it.
type grpcShown struct {
	message  bool // there is one, in body
	closed   bool // the call has ended, with code and text
	code     uint32
	text     string
	body     []byte
	initial  *message.Fields
	trailing *message.Fields
}

// grpcAnswered tells the guest what has come of a call; nil is that the stream that carried it has ended.
func (i *Instance) grpcAnswered(s *Stream, c call, a *filters.CallAnswer) error {
	defer func() { i.grpc = grpcShown{} }()
	if a == nil {
		i.grpc = grpcShown{closed: true, code: grpcCancelled, text: "the stream has ended"}
		err := i.grpcTell(s, c.guest, i.exports.grpcClose, grpcCancelled)
		delete(i.outboxes, c.guest)
		return err
	}
	switch a.Part {
	case filters.Initial:
		i.grpc = grpcShown{initial: a.Header}
		return i.grpcTell(s, c.guest, i.exports.grpcInitial, fields(a.Header))
	case filters.Message:
		i.grpc = grpcShown{message: true, body: a.Body}
		return i.grpcTell(s, c.guest, i.exports.grpcReceive, len(a.Body))
	}
	i.grpc = grpcShown{closed: true, code: uint32(a.Status), text: a.Text, initial: a.Header, trailing: a.Trailer}
	if err := i.grpcTell(s, c.guest, i.exports.grpcTrailing, fields(a.Trailer)); err != nil {
		return err
	}
	last, n := i.exports.grpcClose, a.Status
	if c.kind == filters.GRPCCall && a.Status == grpcOK && i.exports.grpcReceive != nil {
		last, n = i.exports.grpcReceive, len(a.Body)
		i.grpc.message, i.grpc.body = true, a.Body
	}
	err := i.grpcTell(s, c.guest, last, n)
	delete(i.outboxes, c.guest)
	return err
}

func fields(f *message.Fields) int {
	if f == nil {
		return 0
	}
	return f.Len()
}

// grpcTell makes a callback in the root context, if the guest has it and still wants to hear of the call.
func (i *Instance) grpcTell(s *Stream, id uint32, f api.Function, n int) error {
	if _, hears := i.outboxes[id]; !hears || f == nil {
		return nil
	}
	i.begin(s)
	i.active = nil
	return i.call(f, rootID, uint64(id), uint64(n))
}
