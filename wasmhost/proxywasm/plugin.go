package proxywasm

import (
	"io"
	"sync/atomic"
	"time"

	"edge/filters"
	"edge/wasmhost/internal/commons"
	"edge/wasmhost/internal/fuel"
)

// Plugin is what all instances of one configured filter have in common. It does not change once an instance exists.
type Plugin struct {
	Name     string // the filter's name; plugin_name to the guest
	RootID   string // plugin_root_id
	VMID     string // plugin_vm_id
	Config   []byte // plugin configuration
	VMConfig []byte

	// Upstreams are the upstreams the filter may call.
	Upstreams map[string]bool

	// BodyLimit is the most bytes a guest may make of a body it holds.
	BodyLimit int

	// LogLevel is the least level that is logged; what is below it is dropped before it is copied.
	LogLevel filters.Level

	// Trace has every host call and callback logged, at level trace whatever LogLevel says.
	Trace bool

	// Rootless says that nobody works for the root contexts: calls without a stream are refused, and no tick comes.
	Rootless bool

	// Log takes the lines that belong to no stream: those of start and configuration. It may be called at any time
	// from the lane's holder.
	Log func(level filters.Level, text string)

	// Fuel is what a call may take: of all instances together, as it counts. Its limits do not change.
	Fuel fuel.Limits

	// Shared is what the filter shares with others, and its metrics. It must be there.
	Shared *commons.Member

	// QueueReady is told, with a queue's id, that something has been put into a queue that this filter was the last to
	// register. nil tells nobody. It is called on the goroutine of the guest that put it in, while that guest's call is
	// under way, and perhaps a little after the filter has ended: it must not block or call a guest.
	QueueReady func(id uint32)

	Now    func() time.Time // the wall clock
	Began  time.Time        // where the guests' monotonic clock begins: one for all, since a snapshot may be taken from one to another
	Random io.Reader        // must be safe for use by several instances at once

	Counters Counters
}

// Counters count over all instances of a plugin.
type Counters struct {
	Parked     atomic.Int64  // streams paused now
	Refused    atomic.Uint64 // host calls that were refused for what they asked: bad pointers, forbidden fields, limits
	DroppedLog atomic.Uint64 // log lines beyond MaxLogLines
	FullOutbox atomic.Uint64 // messages of gRPC for which there was no room
}
