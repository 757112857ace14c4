package main

import (
	"edge/runtime/config"
)

// listenOf is the listener of an address, as it is written, or nil.
func listenOf(cfg *config.Config, address string) *config.Listen {
	for i := range cfg.Listen {
		if cfg.Listen[i].Address == address {
			return &cfg.Listen[i]
		}
	}
	return nil
}

// needRestart are warnings of the keys in which a configuration differs from the one that the process has started with, and that a
// running process does not change.
func needRestart(started, next *config.Config) (list config.Problems) {
	warn := func(format string, path []any, args ...any) {
		list = append(list, next.Warn(path, "restart edge", format, args...))
	}
	a, b := &started.Server, &next.Server
	for _, k := range [...]struct {
		table, key string
		was, is    any
	}{
		{"server", "children", a.Children, b.Children},
		{"server", "pollers", a.Pollers, b.Pollers},
		{"server", "workers", a.Workers, b.Workers},
		{"server", "max_connections_per_child", a.MaxConnectionsPerChild, b.MaxConnectionsPerChild},
		{"server", "cache", a.Cache, b.Cache},
		{"server", "pid_file", a.PidFile, b.PidFile},
		{"server", "user", a.User, b.User},
		{"server", "group", a.Group, b.Group},
		{"server", "admin", a.Admin, b.Admin},
		{"limits", "connections", started.Limits.Connections, next.Limits.Connections},
	} {
		if k.was != k.is {
			warn("needs a restart, until then %v counts", []any{k.table, k.key}, shown(k.was))
		}
	}
	for i := range next.Listen {
		if l := &next.Listen[i]; listenOf(started, l.Address) == nil {
			warn("needs a restart, until then nobody listens on %s", []any{"listen", i, "address"}, l.Address)
		}
	}
	for i := range started.Listen {
		if l := &started.Listen[i]; listenOf(next, l.Address) == nil {
			warn("needs a restart, until then %s goes on", []any{"listen"}, l.Address)
		}
	}
	return list
}

// shown is a value as the file has it.
func shown(v any) any {
	switch v := v.(type) {
	case string:
		if v == "" {
			return `""`
		}
	case config.Address:
		return v.String()
	}
	return v
}
