// Package snapshot saves the state of an instance of a guest and puts it back, by copying: its linear memory and its mutable
// globals, which metering has exported (edge/wasmhost/meter). What the host knows about the instance is the ABI packages' part.
package snapshot

import (
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"

	"edge/wasmhost/meter"
)

// Plan says how the instances of a module can be saved.
type Plan struct {
	Globals  []string // exports of all mutable globals that are the guest's own
	Obstacle error    // why they cannot be saved, or nil
	Most     int      // bytes of memory, to be saved and to be put back
}

// PlanOf reads the plan from what the rewriter has found in a module.
func PlanOf(info meter.Info, most int) Plan {
	p := Plan{Globals: info.Globals, Most: most}
	switch {
	case info.ChangesTable:
		p.Obstacle = errors.New("it has instructions that change a table")
	case info.DropsData:
		p.Obstacle = errors.New("it has instructions that drop a data segment")
	case info.V128Globals:
		p.Obstacle = errors.New("it has a mutable global of 128 bits")
	}
	return p
}

// Unmetered is the plan of modules that were not rewritten.
var Unmetered = Plan{Obstacle: errors.New("it is not metered")}

// State finds the state of one instance. It belongs to whoever may call the instance.
type State struct {
	obstacle error
	most     int
	room     *Room
	memory   api.Memory
	globals  []api.MutableGlobal
}

// Attach finds the state of a guest that was instantiated with room.
func (s *State) Attach(guest api.Module, p Plan, room *Room) {
	*s = State{obstacle: p.Obstacle, most: p.Most, room: room, memory: guest.ExportedMemory("memory")}
	if p.Obstacle != nil {
		return
	}
	for _, name := range p.Globals {
		g, settable := guest.ExportedGlobal(name).(api.MutableGlobal)
		if !settable {
			s.obstacle = fmt.Errorf("its global %q cannot be set", name)
			return
		}
		s.globals = append(s.globals, g)
	}
}

// Snapshot is the state of an instance at one moment, which any instance of the same module can be brought to. It does not
// change, so it may be used from several goroutines.
//
// The meter's own globals are no part of it: the depth is set before each call, and the fuel runs on, since it measures what all
// streams take together.
type Snapshot struct {
	size    int // of the memory
	runs    []run
	bytes   []byte // of the runs, one after the other
	globals []uint64
}

// run is a piece of memory that is not zero.
type run struct{ from, to int }

// block is the grain of runs in bytes.
const block = 1 << 10

// Save takes a snapshot. The error says why there can be none.
func (s *State) Save() (*Snapshot, error) {
	if s.obstacle != nil {
		return nil, s.obstacle
	}
	shot := &Snapshot{size: int(s.memory.Size())}
	if shot.size > s.most {
		return nil, fmt.Errorf("its memory has %d bytes when it has started, more than %d", shot.size, s.most)
	}
	memory, _ := s.memory.Read(0, uint32(shot.size))
	for at := 0; at < len(memory); at += block {
		end := min(at+block, len(memory))
		if isZero(memory[at:end]) {
			continue
		}
		if n := len(shot.runs); n > 0 && shot.runs[n-1].to == at {
			shot.runs[n-1].to = end
		} else {
			shot.runs = append(shot.runs, run{at, end})
		}
		shot.bytes = append(shot.bytes, memory[at:end]...)
	}
	shot.bytes = append(make([]byte, 0, len(shot.bytes)), shot.bytes...)
	for _, g := range s.globals {
		shot.globals = append(shot.globals, g.Get())
	}
	return shot, nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// Bytes is the memory that the snapshot takes.
func (shot *Snapshot) Bytes() int { return len(shot.bytes) }

// Restore brings the instance to the state of the snapshot, which was taken from an instance of the same module. No call may be
// under way. It returns false where it cannot: the instance must be closed then.
func (s *State) Restore(shot *Snapshot) bool {
	if s.obstacle != nil || !s.resize(shot.size) {
		return false
	}
	memory, from, at := s.room.bytes(), 0, 0
	for _, r := range shot.runs {
		clear(memory[at:r.from])
		from += copy(memory[r.from:r.to], shot.bytes[from:])
		at = r.to
	}
	clear(memory[at:])
	for k, g := range s.globals {
		g.Set(shot.globals[k])
	}
	return true
}

// resize brings the memory to a size that it once had, or has not reached yet. WebAssembly's memory cannot shrink; but an
// allocator may answer a wish for one page more with less, and wazero 1.12 takes what it gets. A memory that has grown to its
// maximum can have no such wish, and stays as it is: false.
func (s *State) resize(size int) bool {
	now := int(s.memory.Size())
	switch {
	case now < size:
		s.memory.Grow(uint32(size-now) / pageBytes)
	case now > size:
		s.room.back = size
		s.memory.Grow(1)
		s.room.back = 0
	}
	return int(s.memory.Size()) == size && s.room.size == size
}

const pageBytes = 64 << 10
