package wasi

import (
	"context"
	"encoding/binary"

	"github.com/tetratelabs/wazero/api"
)

// maxSubscriptions is the most that one poll_oneoff may wait for; more are ErrnoInval.
const maxSubscriptions = 1024

// Sizes and tags of preview 1's subscriptions and events.
const (
	subscriptionBytes = 48
	eventBytes        = 32
	tagClock          = 0
	tagWrite          = 2 // the highest; 1 is reading
)

// poll is poll_oneoff: everything that is waited for is there at once, since sleeping would hold a worker. wazero's own multiplies
// the count of subscriptions in 32 bits and indexes beyond what it has read (1.12).
func poll(_ context.Context, mod api.Module, stack []uint64) {
	in, out, n, count := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	if n == 0 || n > maxSubscriptions {
		stack[0] = ErrnoInval
		return
	}
	subscriptions, fits := mod.Memory().Read(in, n*subscriptionBytes)
	events, fits2 := mod.Memory().Read(out, n*eventBytes)
	number, fits3 := mod.Memory().Read(count, 4)
	if !fits || !fits2 || !fits3 {
		stack[0] = errnoFault
		return
	}
	for k := range int(n) {
		s := subscriptions[k*subscriptionBytes:]
		userdata, tag, fd := binary.LittleEndian.Uint64(s), s[8], binary.LittleEndian.Uint32(s[16:])
		if tag > tagWrite {
			stack[0] = ErrnoInval
			return
		}
		e := events[k*eventBytes:][:eventBytes]
		clear(e)
		binary.LittleEndian.PutUint64(e, userdata)
		if tag != tagClock && fd > stderr {
			binary.LittleEndian.PutUint16(e[8:], errnoBadf)
		}
		e[10] = tag
	}
	binary.LittleEndian.PutUint32(number, n)
	stack[0] = 0
}
