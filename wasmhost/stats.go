package wasmhost

import "sync/atomic"

// laneCounters are written by a lane's holder and read by anybody.
type laneCounters struct {
	calls     atomic.Uint64
	waits     atomic.Uint64
	started   atomic.Uint64
	instances atomic.Int32
	memory    atomic.Int64 // of the instance, in bytes, when a stream last ended
}

// Stats are a filter's figures.
type Stats struct {
	Calls      uint64         // callbacks whose turn came; those that had to wait are in Waits instead, once for each try
	Waits      uint64         // callbacks that found their lane held
	Started    uint64         // instances started since the filter was made
	Faults     [causes]uint64 // by Cause
	Refused    uint64         // host calls refused for what they asked
	DroppedLog uint64         // log lines over the limit of a callback
	Slices     uint64         // of fuel used up, meter.Slice ticks each
	Instances  int            // alive now
	Memory     int            // bytes of their memories, as streams last left them
	Streams    int            // bound now
	Parked     int            // of them paused
}

// Stats reads the figures. They are not of one moment.
func (f *Filter) Stats() Stats {
	s := Stats{
		Parked:     int(f.plugin.Counters.Parked.Load()),
		Refused:    f.plugin.Counters.Refused.Load(),
		DroppedLog: f.plugin.Counters.DroppedLog.Load(),
		Slices:     f.plugin.Fuel.Slices.Load(),
	}
	if l := f.pool; l != nil {
		s.Parked, s.DroppedLog = int(l.plugin.Counters.Parked.Load()), l.plugin.Counters.DroppedLog.Load()
		s.Slices = l.plugin.Fuel.Slices.Load()
		s.Calls, s.Waits, s.Started = l.counters.calls.Load(), l.counters.waits.Load(), l.counters.started.Load()
		s.Instances, s.Memory, s.Streams = int(l.counters.instances.Load()), int(l.counters.memory.Load()), int(l.bound.Load())
	}
	for _, l := range f.lanes {
		s.Calls += l.counters.calls.Load()
		s.Waits += l.counters.waits.Load()
		s.Started += l.counters.started.Load()
		s.Instances += int(l.counters.instances.Load())
		s.Memory += int(l.counters.memory.Load())
		s.Streams += int(l.bound.Load())
	}
	for c := range s.Faults {
		s.Faults[c] = f.faults[c].Load()
	}
	return s
}
