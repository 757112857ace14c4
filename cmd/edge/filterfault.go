package main

import (
	"edge/runtime/accesslog"
	"edge/wasmhost"
)

// filterFault takes the guests' failures: one line for each.
func (p *process) filterFault(f *wasmhost.Fault) {
	fields := []accesslog.Field{
		accesslog.Str("filter", f.Filter), accesslog.Str("cause", f.Cause.String()), accesslog.Str("phase", f.Phase.String()),
	}
	for _, o := range [...]struct{ key, text string }{
		{"request_id", f.RequestID}, {"limit", f.Limit}, {"error", f.Error}, {"said", f.Said}, {"stack", f.Stack},
	} {
		if o.text != "" {
			fields = append(fields, accesslog.Str(o.key, o.text))
		}
	}
	p.log.Error("the guest failed", fields...)
}
