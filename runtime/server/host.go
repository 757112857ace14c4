package server

import (
	"edge/filters"
	"edge/runtime/accesslog"
)

// The exchange as filters.Host; Call and CancelCalls are in calls.go, Property in property.go.

// Wake is part of filters.Host.
func (x *exchange) Wake() { x.owner.Load().Wake() }

// Now is part of filters.Host.
func (x *exchange) Now() int64 { return x.conn.t.Now }

var levels = [...]accesslog.Level{
	filters.Trace: accesslog.Trace, filters.Debug: accesslog.Debug, filters.Info: accesslog.Info,
	filters.Warn: accesslog.Warn, filters.Error: accesslog.Error, filters.Critical: accesslog.Error,
}

// LogLevel is a filter's level as the process's log has it.
func LogLevel(level filters.Level) accesslog.Level { return levels[min(int(level), len(levels)-1)] }

// Log is part of filters.Host.
func (x *exchange) Log(filter string, level filters.Level, text string) {
	log := x.conn.srv.logger
	if l := LogLevel(level); log.Enabled(l) || x.site.settings.filterEnabled(filter, l) {
		log.LogAlways(l, text, accesslog.Str("filter", filter), accesslog.Str("request_id", x.requestID()))
	}
}

// filterEnabled says whether a filter with a level of its own has lines of level l written.
func (o *Options) filterEnabled(filter string, l accesslog.Level) bool {
	least, own := o.FilterLevels[filter]
	return own && l >= least
}
