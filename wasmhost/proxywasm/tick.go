package proxywasm

// tickCalls set the timer of a root context.
//
// Ticks are not made yet. Setting a period succeeds, since SDKs end the guest on any other answer, and no tick follows.
var tickCalls = map[string]hostCall{
	"proxy_set_tick_period_milliseconds": {params: "i", call: accept},
}

// accept does nothing and says that it worked.
func accept(*Instance, []uint64) status { return ok }

// absent says that there is no such thing.
func absent(*Instance, []uint64) status { return notFound }
