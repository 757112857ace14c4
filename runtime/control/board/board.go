// Package board is the scoreboard (P8): a small piece of memory that one child and the control process share. Each child has one of its
// own and can write into no other's; the control process reads them all, also of a child that has died or that answers nothing. It
// imports nothing of ours: what a worker's cell says is a number here.
//
// All numbers are 64 bits wide, in the processor's own order, at these places in bytes:
//
//	     0        8        16       24       32       40       48       56       64
//	  0 ┌────────┬────────┬────────┬────────┬────────┬────────┬────────┬────────┐
//	    │ magic  │version │ cells  │ number │ genera-│ began  │   –    │   –    │  of the control process, before the child begins
//	 64 ├────────┼────────┼────────┼────────┼────────┼────────┼────────┼────────┤
//	    │  pid   │ state  │  not   │connec- │accepted│ heart- │   –    │   –    │  of the child, some times a second
//	    │        │        │accepts │ tions  │        │  beat  │        │        │
//	128 ├────────┼────────┴────────┴────────┴────────┴────────┴────────┴────────┤
//	    │ cell 0 │                              –                               │  of worker 0 alone, at the begin and end of a turn
//	192 │                                   –                                   │  a cell has its cache line to itself, and the next one, which
//	256 ├────────┼──────────────────────────────────────────────────────────────┤  processors fetch too
//	    │ cell 1 │                              –                               │
//	    ┊        ┊                                                              ┊
//
// Each number has one writer and is stored and loaded as a whole; two of them need not be of the same moment.
//
// The control process makes the memory, of a size that nobody can change any more, and maps it for reading alone. It believes nothing that
// a child may have written: it has number, generation and size in its own hands, and takes the rest for figures to show.
package board

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bounds and layout.
const (
	// Version is that of the layout. A process maps no board of another.
	Version = 1

	// MaxCells is the most workers that a board has room for.
	MaxCells = 1 << 16

	magic = 0x65646765626f6172 // "edgeboar"
	line  = 64                 // bytes of a cache line
	head  = 2 * line           // bytes before the first cell
	each  = 2 * line           // bytes of a cell
)

// Places of the numbers, in bytes.
const (
	atMagic      = 0
	atVersion    = 8
	atCells      = 16
	atNumber     = 24
	atGeneration = 32
	atBegan      = 40

	atPID          = line
	atState        = line + 8
	atNotAccepting = line + 16
	atConnections  = line + 24
	atAccepted     = line + 32
	atHeartbeat    = line + 40
)

// State is what a child says it is about.
type State uint8

// The states, in the order in which a child goes through them. It may leave some out.
const (
	Starting State = iota
	Ready
	Retiring // accepts nothing more, and finishes what it has
	Stopping // the same, and idle connections have been ended
	states
)

var stateNames = [states]string{"starting", "ready", "retiring", "stopping"}

// String is the state's name in the status and in metrics, "unknown" for a number that is none.
func (s State) String() string {
	if s >= states {
		return "unknown"
	}
	return stateNames[s]
}

// Clock is the time in nanoseconds since some moment that is the same for all processes of the machine: what heartbeats are told in.
func Clock() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // every Linux has it
	}
	return t.Nano()
}

// bytesFor is the size of a board with so many cells.
func bytesFor(cells int) int { return head + cells*each }

// mapping is a mapped board.
type mapping []byte

// at is one of the numbers. The mapping begins at a page, so it is aligned.
func (m mapping) at(place int) *atomic.Uint64 {
	_ = m[place+7]
	return (*atomic.Uint64)(unsafe.Pointer(&m[place]))
}

func (m mapping) cell(i int) *atomic.Uint64 { return m.at(head + i*each) }

// Board is a child's own, which it alone writes. Its methods may be called from any goroutine.
type Board struct{ memory mapping }

// Open maps the board that a child has been started with, and takes the descriptor over: it is closed also where the board cannot be used.
// Errors: a descriptor that is no board, or one of another version.
func Open(fd int) (*Board, error) {
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Size < head || st.Size > int64(bytesFor(MaxCells)) {
		return nil, fmt.Errorf("%d bytes are no scoreboard", st.Size)
	}
	memory, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	b := &Board{memory}
	if err := b.check(); err != nil {
		unix.Munmap(memory)
		return nil, err
	}
	return b, nil
}

func (b *Board) check() error {
	m := b.memory
	switch {
	case m.at(atMagic).Load() != magic:
		return fmt.Errorf("it is no scoreboard")
	case m.at(atVersion).Load() != Version:
		return fmt.Errorf("a scoreboard of version %d, not %d", m.at(atVersion).Load(), Version)
	case m.at(atCells).Load() != uint64(len(m)-head)/each:
		return fmt.Errorf("a scoreboard of %d bytes for %d workers", len(m), m.at(atCells).Load())
	}
	return nil
}

// Number is the child's.
func (b *Board) Number() int { return int(b.memory.at(atNumber).Load()) }

// Generation is the child's.
func (b *Board) Generation() int { return int(b.memory.at(atGeneration).Load()) }

// Cells are the workers' cells: cell i is for worker i alone to store. They are good until the process ends.
func (b *Board) Cells() []*atomic.Uint64 {
	cells := make([]*atomic.Uint64, (len(b.memory)-head)/each)
	for i := range cells {
		cells[i] = b.memory.cell(i)
	}
	return cells
}

// Figures are what a child tells of itself.
type Figures struct {
	State        State
	NotAccepting bool   // its listeners are closed for want of workers, or for good
	Connections  int    // that are open
	Accepted     uint64 // since it began
}

// SetState tells the state at once, with the process's id.
func (b *Board) SetState(s State) {
	b.memory.at(atPID).Store(uint64(os.Getpid()))
	b.memory.at(atState).Store(uint64(s))
}

// Beat tells the figures but for the state, and that the child lived at the moment now of [Clock].
func (b *Board) Beat(now int64, f Figures) {
	closed := uint64(0)
	if f.NotAccepting {
		closed = 1
	}
	m := b.memory
	m.at(atNotAccepting).Store(closed)
	m.at(atConnections).Store(uint64(f.Connections))
	m.at(atAccepted).Store(f.Accepted)
	m.at(atHeartbeat).Store(uint64(now))
}
