package config

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

func readFilters(s *section) {
	names, tables := s.named("filters")
	for i, t := range tables {
		f := Filter{
			Name:           names[i],
			Module:         t.text("module", ""),
			Native:         t.text("native", ""),
			SHA256:         strings.ToLower(t.text("sha256", "")),
			FailOpen:       t.oneOf("on_failure", "closed", "open") == "open",
			Background:     t.boolean("background", false),
			IsolateStreams: t.oneOf("isolation", "shared", "stream") == "stream",
			RootID:         t.text("root_id", ""),
			VMID:           t.text("vm_id", ""),
			VMConfig:       t.text("vm_config", ""),
			Lanes:          t.count("lanes", 0, 0, MaxLanes),
			Instances:      t.count("instances", 128, 1, MaxInstances),
		}
		if t.has("log_level") {
			f.LogLevel = t.oneOf("log_level", "trace", "debug", "info", "warn", "error")
		}
		if f.Background && f.Lanes > 1 {
			t.bad("lanes", "take it out", "a background filter has one lane")
		}
		if f.Background && f.IsolateStreams {
			t.bad("isolation", "take it out", "a background filter has no requests that could be isolated")
		}
		f.Limits = readFilterLimits(t.tableOrEmpty("limits"))
		if allow := t.table("allow"); allow != nil {
			f.AllowUpstreams = allow.texts("upstreams")
			for i, name := range f.AllowUpstreams {
				allow.knownUpstream("upstreams", i, name)
			}
			allow.close()
		}
		f.Config, f.Settings = readFilterConfig(t, f.Native != "")
		checkSource(t, &f)
		t.close()
		s.r.cfg.Filters = append(s.r.cfg.Filters, f)
	}
}

// checkSource checks what the filter is made of.
func checkSource(t *section, f *Filter) {
	switch {
	case f.Module != "" && f.Native != "":
		t.bad("native", "keep one of them", "module and native are both there")
		return
	case f.Module == "" && f.Native == "":
		t.bad("module", `add module = "filter.wasm" or native = "headers"`, "neither module nor native is there")
		return
	}
	if f.SHA256 != "" {
		if raw, err := hex.DecodeString(f.SHA256); err != nil || len(raw) != 32 {
			t.bad("sha256", "64 hexadecimal digits, as sha256sum prints them", "%q is not a SHA-256", f.SHA256)
			f.SHA256 = ""
		}
	}
	if f.Native != "" {
		if f.SHA256 != "" {
			t.bad("sha256", notYet, "a native filter is part of edge")
		}
		for _, key := range []string{"background", "isolation", "root_id", "vm_id", "vm_config", "lanes", "instances", "log_level", "limits", "allow"} {
			if t.has(key) && !(key == "limits" && nativeLimits(t)) {
				t.warn(key, "", "has no effect on a native filter")
			}
		}
		if known := t.r.options.Natives; !slices.Contains(known, f.Native) {
			t.bad("native", suggestOr(f.Native, known), "no native filter %q", f.Native)
		}
		return
	}
	if name, ok := strings.CutPrefix(f.Module, "builtin:"); ok {
		if known := t.r.options.Modules; !slices.Contains(known, name) {
			t.bad("module", suggestOr(name, known), "no module %q is built in", name)
		}
		return
	}
	f.Module = t.r.join(f.Module)
	checkModule(t, f)
}

// nativeLimits says whether the limits of a native filter are only those that the chain enforces.
func nativeLimits(t *section) bool {
	limits, _ := t.values["limits"].(map[string]any)
	for key := range limits {
		if key != "pause" && key != "body" {
			return false
		}
	}
	return true
}

func readFilterLimits(s *section) FilterLimits {
	v := FilterLimits{
		CPU:       s.duration("cpu", 10*time.Millisecond, minFilterCPU, MaxFilterCPU),
		Memory:    s.size("memory", 32<<20, minFilterMemory, MaxFilterMemory),
		CallDepth: s.count("call_depth", 512, 16, MaxCallDepth),
		Pause:     s.duration("pause", 10*time.Second, minTimeout, maxTimeout),
		Body:      s.size("body", 1<<20, 1, MaxFilterBody),
	}
	for _, key := range []string{"cpu", "call_depth"} {
		if s.has(key) && !s.r.options.Metering {
			s.warn(key, "", "not enforced by this build: a guest that never returns keeps its worker")
		}
	}
	s.close()
	return v
}

// readFilterConfig reads the key config: bytes for a module, a table for a native filter.
func readFilterConfig(t *section, native bool) (bytes []byte, settings map[string]any) {
	v, ok := t.get("config")
	if !ok {
		return nil, nil
	}
	switch v := v.(type) {
	case string:
		if !native {
			return []byte(v), nil
		}
		t.bad("config", "write a table: { … }", "should be a table for a native filter, is a string")
	case map[string]any:
		if native {
			return nil, v
		}
		t.bad("config", `write the bytes the module is to get: '{"key": "value"}'`, "should be a string for a module, is a table")
	default:
		t.bad("config", "a string for a module, a table for a native filter", "is %s", kind(v))
	}
	return nil, nil
}

// knownUpstream checks a name in an array.
func (s *section) knownUpstream(key string, i int, name string) {
	if s.r.cfg.Upstream(name) == nil {
		s.badItem(key, i, suggest(name, s.r.upstreamNames()), "no upstream %q", name)
	}
}

func (r *reader) upstreamNames() []string {
	var names []string
	for i := range r.cfg.Upstreams {
		names = append(names, r.cfg.Upstreams[i].Name)
	}
	return names
}

func (r *reader) filterNames() []string {
	var names []string
	for i := range r.cfg.Filters {
		names = append(names, r.cfg.Filters[i].Name)
	}
	return names
}
