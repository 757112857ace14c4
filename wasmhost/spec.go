package wasmhost

import (
	"fmt"
	"runtime"
	"time"

	"edge/filters"
	"edge/wasmhost/httpwasm"
	"edge/wasmhost/internal/fuel"
	"edge/wasmhost/proxywasm"
)

// Spec is one configured filter.
type Spec struct {
	Name     string
	Wasm     []byte // the module; not kept
	SHA256   string // hexadecimal pin, or ""
	Config   []byte // the filter's configuration, given to the guest as it is
	VMConfig []byte
	RootID   string // which of a module's filters; "" where it has one
	VMID     string // groups filters that share data and queues; "" where the filter, by its name, has some of its own

	FailOpen  bool      // on a fault: skip the filter instead of 503
	Isolation Isolation // shared by default
	Limits    Limits
	Upstreams []string // what the filter may call
	Lanes     int      // instances; 0 means GOMAXPROCS, at most MaxLanes
	LogLevel  filters.Level

	// Background says that the filter takes part in no exchange: its guest has a root context only, in one lane.
	Background bool

	Trace bool // every host call and callback is logged, with its arguments and what came of it

	// Instances is the most instances of a guest of which each is pinned by one request, which are http-wasm guests and those
	// isolated per stream; 0 means DefaultInstances, and more than MaxInstances is an error. Lanes do not count there.
	Instances int
}

// Isolation says how much of a guest's state two streams share.
type Isolation uint8

// The isolations.
const (
	// Shared is one state for each lane, or, with http-wasm, for the requests that one instance serves one after the other.
	Shared Isolation = iota

	// PerStream is a state for each stream, as the guest's is after its start: an instance serves one stream at a time and is
	// restored from a snapshot in between. A guest that cannot be saved so is refused.
	PerStream
)

// Limits are what a filter may use; 0 means the default.
type Limits struct {
	CPU       time.Duration // per call into the guest, default 10 ms
	Memory    int           // bytes of one instance's memory, in whole pages of 64 KiB; default 32 MiB
	CallDepth int           // nested calls in the guest, default 512; a call whose frame is larger than 16 KiB may count as more
	Pause     time.Duration // longest pause, default 10 s; enforced by the chain
	Body      int           // bytes of body held in a pause, default 1 MiB; enforced by the chain
}

// Defaults and bounds.
const (
	DefaultCPU       = 10 * time.Millisecond
	DefaultMemory    = 32 << 20
	DefaultCallDepth = 512
	DefaultPause     = 10 * time.Second
	DefaultBody      = 1 << 20

	// StartCPU is the CPU time of an instance's start: its start function, _initialize, main, vm_start and configure.
	StartCPU = 2 * time.Second

	MaxLanes       = 64
	MaxMemory      = 1 << 30
	MaxModuleBytes = 64 << 20 // of a .wasm file (W106)

	// MaxSnapshot is the most memory in bytes that a guest may have after its start for a snapshot of it to be taken.
	// That much takes about half a millisecond to put back.
	MaxSnapshot = 16 << 20

	pageBytes = 64 << 10
)

func (s *Spec) complete() error {
	if s.Name == "" {
		return fmt.Errorf("a filter needs a name")
	}
	if s.Isolation > PerStream {
		return fmt.Errorf("there is no isolation %d", s.Isolation)
	}
	l := &s.Limits
	for _, d := range []struct {
		value *time.Duration
		std   time.Duration
	}{{&l.CPU, DefaultCPU}, {&l.Pause, DefaultPause}} {
		if *d.value == 0 {
			*d.value = d.std
		}
		if *d.value < 0 {
			return fmt.Errorf("a limit is below 0")
		}
	}
	for _, n := range []struct {
		value *int
		std   int
	}{{&l.Memory, DefaultMemory}, {&l.CallDepth, DefaultCallDepth}, {&l.Body, DefaultBody}} {
		if *n.value == 0 {
			*n.value = n.std
		}
		if *n.value < 0 {
			return fmt.Errorf("a limit is below 0")
		}
	}
	if l.Memory > MaxMemory {
		return fmt.Errorf("the memory limit is above %d bytes", MaxMemory)
	}
	if s.Background && s.Isolation != Shared {
		return fmt.Errorf("a background filter has no streams that could be isolated")
	}
	if s.Background {
		s.Lanes = 1
	}
	if s.Lanes == 0 {
		s.Lanes = min(runtime.GOMAXPROCS(0), MaxLanes)
	}
	if s.Lanes < 1 || s.Lanes > MaxLanes {
		return fmt.Errorf("lanes are 1 to %d", MaxLanes)
	}
	if s.Instances == 0 {
		s.Instances = DefaultInstances
	}
	if s.Instances < 1 || s.Instances > MaxInstances {
		return fmt.Errorf("instances are 1 to %d", MaxInstances)
	}
	return nil
}

func (s *Spec) handlerPlugin(h *Host) *httpwasm.Plugin {
	return &httpwasm.Plugin{
		Config: s.Config, BodyLimit: s.Limits.Body, Fuel: s.fuel(h), LogLevel: s.LogLevel, Trace: s.Trace,
		Now: h.options.Now, Began: h.options.Now(), Random: h.options.Random,
	}
}

func (s *Spec) plugin(h *Host) *proxywasm.Plugin {
	upstreams := make(map[string]bool, len(s.Upstreams))
	for _, u := range s.Upstreams {
		upstreams[u] = true
	}
	return &proxywasm.Plugin{
		Name: s.Name, RootID: s.RootID, VMID: s.VMID,
		Config: s.Config, VMConfig: s.VMConfig,
		Upstreams: upstreams,
		BodyLimit: s.Limits.Body,
		Fuel:      s.fuel(h),
		LogLevel:  s.LogLevel,
		Trace:     s.Trace,
		Now:       h.options.Now,
		Began:     h.options.Now(),
		Random:    h.options.Random,
	}
}

func (s *Spec) fuel(h *Host) fuel.Limits {
	return fuel.Limits{CPU: s.Limits.CPU, Start: StartCPU, Depth: s.Limits.CallDepth, Now: h.options.Now}
}
