package snapshot

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// Room is where one instance's linear memory lives: as much address space as it may ever need, reserved at once, of which the
// system gives what is touched. So growing takes a microsecond however large the memory is, copies nothing, and never moves it;
// and it can go back to a size that it had, see [State.Restore], which returns what is beyond to the system.
//
// It is an experimental.MemoryAllocator, and belongs to whoever may call the instance. The memory is gone when the instance is
// closed: nobody may keep a view of it beyond the call it was made in.
type Room struct {
	reserved []byte // address space up to the guest's maximum
	open     int    // bytes of it that may be touched
	size     int    // of the guest's memory
	back     int    // more than 0: the next Reallocate makes it this large, whatever it asks for
	err      error  // why there is no memory
}

var _ experimental.MemoryAllocator = (*Room)(nil)

// Instantiate makes an instance whose memory is here. The error says also where the system has no room for it.
func (r *Room) Instantiate(
	ctx context.Context, rt wazero.Runtime, compiled wazero.CompiledModule, c wazero.ModuleConfig,
) (guest api.Module, err error) {
	defer func() {
		if p := recover(); p != nil {
			if r.err == nil {
				panic(p)
			}
			guest, err = nil, r.err
		}
		if err != nil {
			r.Free()
		}
	}()
	return rt.InstantiateModule(experimental.WithMemoryAllocator(ctx, r), compiled, c)
}

// Allocate implements experimental.MemoryAllocator: an instance has one memory.
func (r *Room) Allocate(_, most uint64) experimental.LinearMemory {
	*r = Room{}
	if most > 0 {
		r.reserved, r.err = unix.Mmap(-1, 0, int(most), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	}
	if r.err != nil {
		r.err = fmt.Errorf("no address space of %d bytes for the guest's memory: %w", most, r.err)
	}
	return r
}

// Reallocate implements experimental.LinearMemory. What comes anew is zero. nil says that the system has no memory.
func (r *Room) Reallocate(size uint64) []byte {
	n := int(size)
	if r.back > 0 {
		n, r.back = r.back, 0
	}
	switch {
	case n > len(r.reserved):
		return nil
	case n > r.open:
		if err := unix.Mprotect(r.reserved[r.open:n], unix.PROT_READ|unix.PROT_WRITE); err != nil {
			r.err = fmt.Errorf("no memory of %d bytes for the guest: %w", n, err)
			return nil
		}
		r.open = n
	case n < r.size:
		if err := unix.Madvise(r.reserved[n:r.size], unix.MADV_DONTNEED); err != nil {
			clear(r.reserved[n:r.size])
		}
	}
	r.size = n
	return r.bytes()
}

func (r *Room) bytes() []byte { return r.reserved[:r.size:r.size] }

// Free implements experimental.LinearMemory.
func (r *Room) Free() {
	if r.reserved != nil {
		_ = unix.Munmap(r.reserved)
	}
	r.reserved, r.open, r.size = nil, 0, 0
}
