package proxywasm

import "time"

// tickCalls set the timer of a root context.
var tickCalls = map[string]hostCall{
	"proxy_set_tick_period_milliseconds": {params: "i", call: setTickPeriod},
}

// setTickPeriod begins ticks, changes their period, or, with 0, ends them. A period below MinTick is no error, as SDKs end the
// guest on one.
func setTickPeriod(i *Instance, a []uint64) status {
	period := time.Duration(uint32(a[0])) * time.Millisecond
	if period > 0 {
		period = max(period, MinTick)
	}
	if period != i.root.period {
		i.root.period, i.root.news = period, true
	}
	return ok
}

// accept does nothing and says that it worked.
func accept(*Instance, []uint64) status { return ok }
