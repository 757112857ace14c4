package httpwasm

import (
	"io"
	"sync/atomic"
	"time"

	"edge/filters"
	"edge/wasmhost/internal/fuel"
)

// Plugin is what all instances of one configured filter have in common. It does not change once an instance exists.
type Plugin struct {
	Config []byte // what get_config gives

	// BodyLimit is the most bytes a guest may write into one body.
	BodyLimit int

	// LogLevel is the least level that is logged; what is below it is dropped before it is copied.
	LogLevel filters.Level

	// Trace has every host function and call logged, at level trace whatever LogLevel says.
	Trace bool

	// Log takes the lines that belong to no exchange: those of the start. It may be called from any goroutine.
	Log func(level filters.Level, text string)

	// Fuel is what a call may take: of all instances together, as it counts. Its limits do not change.
	Fuel fuel.Limits

	Now    func() time.Time // the wall clock
	Began  time.Time        // where the guests' monotonic clock begins: one for all, since a snapshot may be taken from one to another
	Random io.Reader        // must be safe for use by several instances at once

	Counters Counters
}

// Counters count over all instances of a plugin.
type Counters struct {
	Parked     atomic.Int64  // guests that wait for a body now
	DroppedLog atomic.Uint64 // log lines beyond MaxLogLines
}
