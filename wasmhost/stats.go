package wasmhost

import (
	"encoding/hex"
	"sync/atomic"
)

// laneCounters are written by a lane's holder and read by anybody.
type laneCounters struct {
	started   atomic.Uint64
	restored  atomic.Uint64
	instances atomic.Int32
	memory    atomic.Int64 // of the instance, in bytes, when a stream last ended
}

// Stats are a filter's figures.
type Stats struct {
	ByPhase    [phases][results]uint64
	Calls      uint64                   // of ByPhase, those whose turn came
	Waits      uint64                   // of ByPhase, those that found their lane held, once for each try
	Timed      [len(Buckets) + 1]uint64 // one call in TimedOneIn, by duration: see Buckets
	TimedNanos uint64                   // their sum
	Started    uint64                   // instances started since the filter was made
	Restored   uint64                   // instances put back to the snapshot after a fault, or an exchange that ended without the guest
	Faults     [causes]uint64           // by Cause
	Refused    uint64                   // host calls refused for what they asked
	DroppedLog uint64                   // log lines over the limit of a callback
	OverQuota  Quotas                   // what was refused for a bound of shared state
	Slices     uint64                   // of fuel used up, meter.Slice ticks each
	Instances  int                      // alive now
	Memory     int                      // bytes of their memories, as streams last left them
	Snapshot   int                      // bytes of the snapshot they are restored from, 0 where there is none
	Streams    int                      // bound now
	Parked     int                      // of them paused
}

// SHA256 is the module's, in hexadecimal.
func (f *Filter) SHA256() string { return hex.EncodeToString(f.module.key.sum[:]) }

// ABI is the one that the guest speaks, with its version where it has several.
func (f *Filter) ABI() string { return f.module.abi() }

// Lanes is how many instances there may be at most.
func (f *Filter) Lanes() int {
	if f.pool != nil {
		return f.pool.most
	}
	return len(f.lanes)
}

// Stats reads the figures. They are not of one moment.
func (f *Filter) Stats() Stats {
	s := Stats{
		Parked:     int(f.plugin.Counters.Parked.Load()),
		Refused:    f.plugin.Counters.Refused.Load(),
		DroppedLog: f.plugin.Counters.DroppedLog.Load(),
		Slices:     f.plugin.Fuel.Slices.Load(),
		Snapshot:   f.shot.bytes(),
	}
	if m := f.shared; m != nil {
		s.OverQuota = Quotas{Data: m.RefusedData.Load(), Queues: m.RefusedQueue.Load(), Metrics: m.Metrics.Refused.Load()}
	}
	s.OverQuota.Outbox = f.plugin.Counters.FullOutbox.Load()
	if l := f.pool; l != nil {
		if p := l.plugin; p != nil {
			s.Parked, s.DroppedLog, s.Slices = int(p.Counters.Parked.Load()), p.Counters.DroppedLog.Load(), p.Fuel.Slices.Load()
		}
		s.Started, s.Restored = l.counters.started.Load(), l.counters.restored.Load()
		l.addCounts(&s)
		s.Instances, s.Memory, s.Streams = int(l.counters.instances.Load()), int(l.counters.memory.Load()), int(l.bound.Load())
	}
	for _, l := range f.lanes {
		l.calls.addTo(&s)
		s.Started += l.counters.started.Load()
		s.Restored += l.counters.restored.Load()
		s.Instances += int(l.counters.instances.Load())
		s.Memory += int(l.counters.memory.Load())
		s.Streams += int(l.bound.Load())
	}
	for c := range s.Faults {
		s.Faults[c] = f.faults[c].Load()
	}
	return s
}
