package main

import (
	"testing"

	"edge/filters"
	"edge/runtime/config"
	"edge/runtime/files"
	"edge/runtime/http1"
	"edge/runtime/upstream"
	"edge/wasmhost"
)

// TestBoundsAgree keeps the bounds that package config repeats, because it imports nothing of ours, equal to those of the
// packages that enforce them.
func TestBoundsAgree(t *testing.T) {
	f := config.Builtin().Filters[0].Limits
	for _, c := range []struct {
		what      string
		got, want int64
	}{
		{"filters of a route", config.MaxChain, filters.MaxChain},
		{"index names", config.MaxIndex, files.MaxIndex},
		{"servers of an upstream", config.MaxServers, upstream.MaxServers},
		{"pause", int64(f.Pause), int64(filters.DefaultPause)},
		{"body", int64(f.Body), filters.DefaultBody},
		{"cpu", int64(f.CPU), int64(wasmhost.DefaultCPU)},
		{"memory", int64(f.Memory), wasmhost.DefaultMemory},
		{"most memory", config.MaxFilterMemory, wasmhost.MaxMemory},
		{"call depth", int64(f.CallDepth), wasmhost.DefaultCallDepth},
		{"module", config.MaxModuleBytes, wasmhost.MaxModuleBytes},
		{"instances", int64(config.Builtin().Filters[0].Instances), wasmhost.DefaultInstances},
		{"most instances", config.MaxInstances, wasmhost.MaxInstances},
		{"lanes", config.MaxLanes, wasmhost.MaxLanes},
	} {
		if c.got != c.want {
			t.Errorf("%s: config has %d, the package %d", c.what, c.got, c.want)
		}
	}
	if got := http1Limits(&config.Builtin().Limits); got != http1.DefaultLimits {
		t.Errorf("http1: config has %+v, the package %+v", got, http1.DefaultLimits)
	}
	if got := http1Limits(&config.Limits{RequestBody: 5}); got.BodyBytes != 5 {
		t.Errorf("a body of 5 bytes: %+v", got)
	}
}
