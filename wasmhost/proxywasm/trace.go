package proxywasm

import (
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"edge/filters"
	"edge/wasmhost/internal/link"
)

// traced has the names of the numbers in host calls, by the letters of hostCall.params: b a buffer, d a stream type, l a log
// level, m a header map, t a type of metric; and s, a status.
var traced = link.ABI{
	Names: map[byte][]string{
		'b': {"request_body", "response_body", "downstream_data", "upstream_data", "call_body", "grpc_message", "vm_config",
			"plugin_config", "foreign_arguments"},
		'd': {"request", "response", "downstream", "upstream"},
		'l': {"trace", "debug", "info", "warn", "error", "critical"},
		'm': {"request_headers", "request_trailers", "response_headers", "response_trailers", "grpc_initial", "grpc_trailing",
			"call_headers", "call_trailers"},
		't': {"counter", "gauge", "histogram"},
		's': {"ok", "not_found", "bad_argument", "serialization_failure", "parse_failure", "bad_expression",
			"invalid_memory_access", "empty", "cas_mismatch", "result_mismatch", "internal_failure", "broken_connection",
			"unimplemented"},
	},
	Pairs: func(b []byte) ([][2]string, bool) { return getPairs(nil, b) },
}

// trace makes a host call and logs it, with its arguments and what came of it.
func (i *Instance) trace(name string, c hostCall, a []uint64, result bool) status {
	t := traced.Begin(name, c.params, a, i.Memory)
	returned := false
	defer func() {
		if !returned {
			i.traceLine(t.Trapped())
		}
	}()
	s := c.call(i, a)
	returned = true
	if result {
		i.traceLine(t.Status('s', uint32(s), s == ok))
	} else {
		i.traceLine(t.String())
	}
	return s
}

// traceRun runs a guest function as run does, and logs its arguments before and its result after.
func (i *Instance) traceRun(f api.Function) error {
	d := f.Definition()
	name := strings.Join(d.ExportNames()[:1], "")
	args := make([]string, len(d.ParamTypes()))
	for k := range args {
		args[k] = fmt.Sprint(uint32(i.stack[k]))
	}
	i.traceLine("call " + name + "(" + strings.Join(args, ", ") + ")")
	err := f.CallWithStack(i, i.stack[:])
	switch {
	case err != nil:
		i.traceLine("trap in " + name)
	case len(d.ResultTypes()) > 0:
		i.traceLine(fmt.Sprint("return ", name, " = ", uint32(i.stack[0])))
	default:
		i.traceLine("return " + name)
	}
	return err
}

// traceLine logs a line of the trace.
func (i *Instance) traceLine(line string) {
	if i.traces++; i.traces > link.MaxTraceLines {
		i.plugin.Counters.DroppedLog.Add(1)
		return
	}
	i.emit(filters.Trace, line)
}
