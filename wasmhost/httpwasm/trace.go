package httpwasm

import (
	"fmt"
	"strings"

	"edge/filters"
	"edge/wasmhost/internal/link"
)

// traced has the names of the numbers in host calls, by the letters of hostCall: b a body, f a set of features, k a kind of
// header map.
var traced = link.ABI{
	Names: map[byte][]string{
		'b': {"request", "response"},
		'f': {"none", "buffer_request", "buffer_response", "buffer_request|buffer_response", "trailers", "buffer_request|trailers",
			"buffer_response|trailers", "buffer_request|buffer_response|trailers"},
		'k': {"request", "response", "request_trailers", "response_trailers"},
	},
}

// trace makes a host call and logs it, with its arguments and what came of it.
func (i *Instance) trace(name string, c hostCall, a []uint64) {
	t := traced.Begin(name, c.params, a, i.Memory)
	returned := false
	defer func() {
		if !returned {
			i.traceLine(t.Trapped())
		}
	}()
	c.call(i, a)
	returned = true
	if c.results == "" {
		i.traceLine(t.String())
	} else {
		i.traceLine(t.Returned(c.results[0], a[0]))
	}
}

// traceCall and traceReturn log a call into the guest and its end.
func (i *Instance) traceCall() {
	if i.plugin.Trace {
		d := i.call.Definition()
		args := fmt.Sprint(i.stack[:len(d.ParamTypes())])
		i.traceLine("call " + d.ExportNames()[0] + "(" + strings.Join(strings.Fields(args[1:len(args)-1]), ", ") + ")")
	}
}

func (i *Instance) traceReturn() {
	switch name := i.call.Definition().ExportNames()[0]; {
	case !i.plugin.Trace:
	case i.err != nil:
		i.traceLine("trap in " + name)
	case len(i.call.Definition().ResultTypes()) > 0:
		i.traceLine(fmt.Sprintf("return %s = next %d, context %d", name, uint32(i.stack[0]), i.stack[0]>>32))
	default:
		i.traceLine("return " + name)
	}
}

// traceLine logs a line of the trace.
func (i *Instance) traceLine(line string) {
	if i.traces++; i.traces > link.MaxTraceLines {
		i.plugin.Counters.DroppedLog.Add(1)
		return
	}
	i.emit(filters.Trace, line)
}
