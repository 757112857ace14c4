package board

import (
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// View is the control process's look at the board of one child. It can be read for as long as it is not closed, whatever has become of the
// child. Its methods may be called from any goroutine.
type View struct {
	number     int
	generation int
	cells      int
	began      time.Time

	mu     sync.Mutex // held while the memory is read, so that Close does not take it away
	memory mapping    // for reading alone; nil: closed
}

// Seen is what a board says at a moment. All but Number, Generation, Began and the length of Cells is the child's word for it.
type Seen struct {
	Number, Generation int
	Began              time.Time
	PID                int // 0: it has not come so far
	Figures
	Heartbeat int64    // of Clock; 0: it has never told its figures
	Cells     []uint64 // of the workers
}

// Silent is how long the child had told nothing at the moment now of [Clock]; negative: it never has.
func (s *Seen) Silent(now int64) time.Duration {
	if s.Heartbeat == 0 {
		return -1
	}
	return time.Duration(max(now-s.Heartbeat, 0))
}

// Create makes the board of a child that is about to be started, with a cell for each of its workers. The descriptor is for the child to
// inherit, and the caller's to close. Errors: the system's, and more workers than MaxCells.
func Create(number, generation, workers int, began time.Time) (v *View, fd int, err error) {
	if workers < 0 || workers > MaxCells {
		return nil, -1, fmt.Errorf("no scoreboard has room for %d workers: at most %d", workers, MaxCells)
	}
	size := bytesFor(workers)
	fd, err = unix.MemfdCreate(fmt.Sprintf("edge scoreboard %d", number), unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, -1, os.NewSyscallError("memfd_create", err)
	}
	memory, err := fill(fd, size, number, generation, workers, began)
	if err != nil {
		unix.Close(fd)
		return nil, -1, err
	}
	return &View{number: number, generation: generation, cells: workers, began: began, memory: memory}, fd, nil
}

// fill gives the memory its size and its first line, has both sealed against a child that would take the memory away under the reader,
// and maps it.
func fill(fd, size, number, generation, workers int, began time.Time) (mapping, error) {
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, os.NewSyscallError("ftruncate", err)
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	first, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	m := mapping(first)
	m.at(atVersion).Store(Version)
	m.at(atCells).Store(uint64(workers))
	m.at(atNumber).Store(uint64(number))
	m.at(atGeneration).Store(uint64(generation))
	m.at(atBegan).Store(uint64(began.UnixNano()))
	m.at(atMagic).Store(magic)
	if err := unix.Mprotect(first, unix.PROT_READ); err != nil {
		unix.Munmap(first)
		return nil, os.NewSyscallError("mprotect", err)
	}
	return m, nil
}

// Look reads the board; false: the view has been closed.
func (v *View) Look() (Seen, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := v.memory
	if m == nil {
		return Seen{}, false
	}
	s := Seen{Number: v.number, Generation: v.generation, Began: v.began, Cells: make([]uint64, v.cells)}
	s.PID = int(min(m.at(atPID).Load(), math.MaxInt32))
	s.State = State(min(m.at(atState).Load(), uint64(states)))
	s.NotAccepting = m.at(atNotAccepting).Load() != 0
	s.Connections = int(min(m.at(atConnections).Load(), math.MaxInt32))
	s.Accepted = m.at(atAccepted).Load()
	s.Heartbeat = int64(min(m.at(atHeartbeat).Load(), math.MaxInt64))
	for i := range s.Cells {
		s.Cells[i] = m.cell(i).Load()
	}
	return s, true
}

// Close gives the memory back. It may be called again.
func (v *View) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.memory == nil {
		return nil
	}
	memory := v.memory
	v.memory = nil
	return os.NewSyscallError("munmap", unix.Munmap(memory))
}
