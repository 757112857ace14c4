package proxywasm

import (
	"fmt"
	"unsafe"
)

// What read and readString return are views of the guest's memory: good until guest code runs again, which includes the
// allocator that give calls.

func (i *Instance) read(at, n uint64) ([]byte, bool) {
	if uint32(n) == 0 {
		return nil, true
	}
	return i.Memory.Read(uint32(at), uint32(n))
}

func (i *Instance) readString(at, n uint64) (string, bool) {
	b, fits := i.read(at, n)
	return text(b), fits
}

// text is b as a string that shares its bytes.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (i *Instance) writable32(at uint64) bool {
	_, fits := i.Memory.Read(uint32(at), 4)
	return fits
}

func (i *Instance) writable64(at uint64) bool {
	_, fits := i.Memory.Read(uint32(at), 8)
	return fits
}

func (i *Instance) write32(at uint64, v uint32) status {
	if !i.Memory.WriteUint32Le(uint32(at), v) {
		return i.refuse(invalidMemoryAccess)
	}
	return ok
}

func (i *Instance) write64(at uint64, v uint64) status {
	if !i.Memory.WriteUint64Le(uint32(at), v) {
		return i.refuse(invalidMemoryAccess)
	}
	return ok
}

// give copies data into memory that the guest allocates, and writes where it is and how long.
func (i *Instance) give(data string, atPtr, lenPtr uint64) status {
	to, result := i.room(len(data), atPtr, lenPtr)
	copy(to, data)
	i.copied(len(data))
	return result
}

// copied comes after the host has worked on n bytes for the guest. That is the guest's time: where it is much, the clock
// is looked at, as the guest's own steps do not tell of it (W98).
func (i *Instance) copied(n int) {
	if n >= lookBytes {
		i.Gauge().Look()
	}
}

// lookBytes take the host about as long as the look does.
const lookBytes = 4 << 10

// room has the guest allocate n bytes, writes their place and length through the out pointers, and returns them as a
// view to be filled at once. For 0 bytes the allocator is not called, since guests index what they allocate (1.6-1 of
// the ABI's unwritten rules: the Go SDK takes the address of its first byte).
func (i *Instance) room(n int, atPtr, lenPtr uint64) ([]byte, status) {
	if !i.writable32(atPtr) || !i.writable32(lenPtr) {
		return nil, i.refuse(invalidMemoryAccess)
	}
	var at uint32
	var to []byte
	if n > 0 {
		at = i.allocate(n)
		var fits bool
		if to, fits = i.Memory.Read(at, uint32(n)); at == 0 || !fits {
			return nil, i.refuse(invalidMemoryAccess)
		}
	}
	i.Memory.WriteUint32Le(uint32(atPtr), at)
	i.Memory.WriteUint32Le(uint32(lenPtr), uint32(n))
	return to, ok
}

// allocate calls the guest's allocator. Host calls it makes are refused (allocating), so it cannot come back here. Where
// it traps, so does the call under way.
func (i *Instance) allocate(n int) uint32 {
	if i.exports.allocate == nil {
		return 0
	}
	i.allocating = true
	i.allocateStack[0] = uint64(uint32(n))
	i.Gauge().Nested()
	err := i.exports.allocate.CallWithStack(i, i.allocateStack[:])
	i.allocating = false
	if err != nil {
		panic(fmt.Errorf("allocating %d bytes: %w", n, err))
	}
	return uint32(i.allocateStack[0])
}

// refuse counts a host call that is refused for what it asked.
func (i *Instance) refuse(s status) status {
	i.plugin.Counters.Refused.Add(1)
	return s
}
