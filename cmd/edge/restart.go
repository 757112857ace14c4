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
// process without children does not change.
func needRestart(started, next *config.Config) (list config.Problems) {
	warn := func(format string, path []any, args ...any) {
		list = append(list, next.Warn(path, "restart edge", format, args...))
	}
	a, b := &started.Server, &next.Server
	list = append(keptByControl(started, next), differing(next, []setting{
		{"server", "children", a.Children, b.Children},
		{"server", "pollers", a.Pollers, b.Pollers},
		{"server", "workers", a.Workers, b.Workers},
		{"server", "max_connections_per_child", a.MaxConnectionsPerChild, b.MaxConnectionsPerChild},
		{"server", "cache", a.Cache, b.Cache},
		{"server", "user", a.User, b.User},
		{"server", "group", a.Group, b.Group},
		{"limits", "connections", started.Limits.Connections, next.Limits.Connections},
	})...)
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

// keptByControl are warnings of the keys that the control process does not change.
func keptByControl(started, next *config.Config) config.Problems {
	a, b := &started.Server, &next.Server
	return differing(next, []setting{{"server", "pid_file", a.PidFile, b.PidFile}, {"server", "admin", a.Admin, b.Admin}})
}

// idleAlone are warnings of what a process without children does not do (P6).
func idleAlone(cfg *config.Config) (list config.Problems) {
	s := &cfg.Server
	for key, counts := range map[string]bool{
		"children": s.Children > 1, "max_connections_per_child": s.MaxConnectionsPerChild > 0, "user": s.User != "", "group": s.Group != "",
	} {
		if counts {
			list = append(list, cfg.Warn([]any{"server", key}, "", "does not count with --single"))
		}
	}
	list.Sort()
	return list
}

// setting is a key's value in two configurations.
type setting struct {
	table, key string
	was, is    any
}

// differing warns of the settings that are not what they were.
func differing(next *config.Config, list []setting) (warnings config.Problems) {
	for _, k := range list {
		if k.was != k.is {
			warnings = append(warnings, next.Warn([]any{k.table, k.key}, "restart edge", "needs a restart, until then %v counts", shown(k.was)))
		}
	}
	return warnings
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
