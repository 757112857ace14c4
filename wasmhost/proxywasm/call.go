package proxywasm

import (
	"errors"
	"time"

	"edge/filters"
)

// httpCalls are the calls to upstreams.
var httpCalls = map[string]hostCall{
	"proxy_http_call": {params: "anxnanxnio", call: httpCall},
}

// httpCall sends a request to a configured upstream. The stream in whose context it is made carries it; its end ends the call. One
// made in the root context is carried by the stream whose callback is running, unless there is none or the guest has made the root
// context effective itself: then it is the root context's, and the stream's end does not end it. An upstream the filter may not
// call, a missing :method, :path or :authority, and a map that is none are badArgument; too many calls under way are
// internalFailure, and so is a call by a guest that cannot take an answer.
func httpCall(i *Instance, a []uint64) status {
	upstream, fits := i.readString(a[0], a[1])
	head, fits2 := i.read(a[2], a[3])
	body, fits3 := i.read(a[4], a[5])
	trailer, fits4 := i.read(a[6], a[7])
	if !fits || !fits2 || !fits3 || !fits4 || !i.writable32(a[9]) {
		return i.refuse(invalidMemoryAccess)
	}
	pairs, valid := getPairs(i.scratch.pairs[:0], head)
	trailers, valid2 := getPairs(i.scratch.trailer[:0], trailer)
	i.scratch.pairs, i.scratch.trailer = pairs[:0], trailers[:0]
	c := &i.scratch.call
	*c = filters.Call{Upstream: upstream, Body: body, Trailer: trailers, Timeout: time.Duration(uint32(a[8])) * time.Millisecond}
	c.Header = takeTarget(c, pairs)
	if !valid || !valid2 || !i.plugin.Upstreams[upstream] || c.Method == "" || c.Target == "" || c.Authority == "" {
		return i.refuse(badArgument)
	}
	if i.exports.callResponse == nil {
		return i.refuse(internalFailure)
	}
	return i.makeCall(c, a[9])
}

// makeCall gives a call to whoever carries it, and writes its id.
func (i *Instance) makeCall(c *filters.Call, idPtr uint64) status {
	s := i.active
	if s == nil && !i.chosen {
		s = i.current
	}
	if s == nil {
		return i.rootCall(c, idPtr)
	}
	slot := s.freeCall()
	if slot == nil {
		return i.refuse(internalFailure)
	}
	id, err := s.x.Call(c)
	switch {
	case errors.Is(err, filters.ErrCallLimit):
		return i.refuse(internalFailure)
	case err != nil:
		return i.refuse(badArgument)
	}
	*slot = call{exchange: id, guest: nextID(&i.lastCall), kind: c.Kind}
	i.open(i.lastCall, c)
	return i.write32(idPtr, i.lastCall)
}

// rootCall keeps a call that no stream carries.
func (i *Instance) rootCall(c *filters.Call, idPtr uint64) status {
	if c.Check() != nil {
		return i.refuse(badArgument)
	}
	if i.plugin.Rootless {
		return i.refuse(internalFailure)
	}
	id := i.root.keep(c, &i.lastCall)
	if id == 0 {
		return i.refuse(internalFailure)
	}
	i.open(id, c)
	return i.write32(idPtr, id)
}

// nextID is the id after last, never 0.
func nextID(last *uint32) uint32 {
	if *last++; *last == 0 {
		*last++
	}
	return *last
}

// takeTarget moves the pseudo headers of a request into c, and returns the fields: pairs without them.
func takeTarget(c *filters.Call, pairs [][2]string) [][2]string {
	fields := pairs[:0]
	for _, p := range pairs {
		switch {
		case p[0] == ":method":
			c.Method = p[1]
		case p[0] == ":path":
			c.Target = p[1]
		case p[0] == ":authority" && p[1] == "":
			c.Authority = c.Upstream // guests leave it to the host, which sends the name it calls
		case p[0] == ":authority", equalFold("host", p[0]) && c.Authority == "":
			c.Authority = p[1]
		case p[0] != "" && p[0][0] == ':', framing(p[0]), equalFold("host", p[0]):
		default:
			fields = append(fields, p)
		}
	}
	return fields
}

func (s *Stream) freeCall() *call {
	for k := range s.calls {
		if s.calls[k].guest == 0 {
			return &s.calls[k]
		}
	}
	return nil
}
