package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"golang.org/x/sys/unix"

	"edge/wasmhost/internal/asm"
	"edge/wasmhost/meter"
)

const (
	memorySize = 0x3f
	memoryGrow = 0x40
)

// sample is a guest with two globals, a word of data, and functions to look at its memory from inside.
func sample() *asm.Module {
	m := &asm.Module{Pages: 2, Globals: []int32{7, 8}}
	m.Data(70_000, "data")
	m.Func("size", "", "i", 0, memorySize, 0)
	m.Func("grow", "i", "i", 0, asm.Join(asm.LocalGetOf(0), []byte{memoryGrow, 0})...)
	m.Func("load", "i", "i", 0, asm.Join(asm.LocalGetOf(0), []byte{asm.I32Load, 2, 0})...)
	m.Func("set", "i", "", 0, asm.Join(asm.LocalGetOf(0), []byte{asm.GlobalSet, 0})...)
	m.Func("get", "", "i", 0, asm.GlobalGet, 0)
	return m
}

// instance is one instance of a guest with the state of it.
type instance struct {
	api.Module
	state State
	room  Room
}

// maxPages is the memory that guests may have, which is a page more than may be saved.
const maxPages = 8

// guests makes instances of wasm.
func guests(tb testing.TB, wasm []byte) func() *instance {
	ctx := context.Background()
	wasm, info, err := meter.Rewrite(wasm)
	if err != nil {
		tb.Fatal(err)
	}
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithMemoryLimitPages(maxPages))
	tb.Cleanup(func() { _ = rt.Close(ctx) })
	i32 := []api.ValueType{api.ValueTypeI32}
	refill := func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = meter.Slice }
	if _, err := rt.NewHostModuleBuilder(meter.Module).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(refill), i32, i32).Export(meter.Yield).Instantiate(ctx); err != nil {
		tb.Fatal(err)
	}
	compiled, err := rt.CompileModule(ctx, wasm)
	if err != nil {
		tb.Fatal(err)
	}
	return func() *instance {
		i := &instance{}
		i.Module, err = i.room.Instantiate(ctx, rt, compiled, wazero.NewModuleConfig().WithName(""))
		if err != nil {
			tb.Fatal(err)
		}
		i.state.Attach(i.Module, PlanOf(info, (maxPages-1)<<16), &i.room)
		return i
	}
}

func (i *instance) call(tb testing.TB, name string, args ...uint64) uint64 {
	tb.Helper()
	results, err := i.ExportedFunction(name).Call(context.Background(), args...)
	if err != nil {
		tb.Fatal(name, err)
	}
	if len(results) == 0 {
		return 0
	}
	return results[0]
}

func (i *instance) bytes() []byte {
	b, _ := i.Memory().Read(0, i.Memory().Size())
	return b
}

func save(tb testing.TB, i *instance) *Snapshot {
	tb.Helper()
	s, err := i.state.Save()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Whatever is written, and however much memory grows in between, a restore brings back every byte and global, the size that the
// guest sees, and the end of its memory; and what grows after it is zero.
func TestRestore(t *testing.T) {
	i := guests(t, sample().Encode())()
	i.call(t, "set", 41)
	i.Memory().Write(1<<16-2, []byte("over the edge of a page"))
	before := bytes.Clone(i.bytes())
	s := save(t, i)
	if s.Bytes() > 3*block {
		t.Errorf("%d bytes are kept of a memory that has %d of data", s.Bytes(), 27)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		pages := uint64(r.IntN(5))
		if got := int32(i.call(t, "grow", pages)); got != 2 {
			t.Fatalf("round %d: the guest grows from %d pages, not from 2", round, got)
		}
		if grown := i.bytes()[2<<16:]; !isZero(grown) {
			t.Fatalf("round %d: what grows is not zero", round)
		}
		for range r.IntN(40) {
			at := r.IntN(len(i.bytes()))
			for k := range min(r.IntN(5000), len(i.bytes())-at) {
				i.bytes()[at+k] = 0xff
			}
		}
		i.call(t, "set", uint64(round))
		if !i.state.Restore(s) {
			t.Fatalf("round %d: it is not restored", round)
		}
		if !bytes.Equal(i.bytes(), before) || i.call(t, "get") != 41 || i.call(t, "size") != 2 {
			t.Fatalf("round %d: another state: %d pages, global %d", round, i.call(t, "size"), i.call(t, "get"))
		}
		if _, err := i.ExportedFunction("load").Call(context.Background(), 2<<16); err == nil || !strings.Contains(err.Error(), "out of bounds") {
			t.Fatalf("round %d: the guest reads what lies behind its memory: %v", round, err)
		}
	}
}

// A snapshot brings another instance to the state of the first, which may be larger than that begins with.
func TestRestoreElsewhere(t *testing.T) {
	another := guests(t, sample().Encode())
	a, b := another(), another()
	a.call(t, "grow", 1)
	a.Memory().Write(3<<16-4, []byte("last"))
	a.call(t, "set", 5)
	b.Memory().Write(0, []byte("b's own"))
	if !b.state.Restore(save(t, a)) || !bytes.Equal(a.bytes(), b.bytes()) || b.call(t, "get") != 5 || b.call(t, "size") != 3 {
		t.Error("the other instance is not the same")
	}
}

// A memory at its maximum cannot be brought back, and the instance says so.
func TestRestoreAtTheMaximum(t *testing.T) {
	i := guests(t, sample().Encode())()
	s := save(t, i)
	i.call(t, "grow", maxPages-2)
	if i.state.Restore(s) || i.room.back != 0 {
		t.Error("a memory at its maximum is restored")
	}
}

// W95: growing costs the same however large the memory is, what goes back is the system's again, and what grows anew is zero.
func TestW95RoomGivesMemoryBack(t *testing.T) {
	const small, large = 64 << 10, 256 << 20
	r := &Room{}
	r.Allocate(0, large)
	defer r.Free()
	r.Reallocate(small)
	for range 3 {
		b := r.Reallocate(large)
		if len(b) != large || b[small] != 0 || b[large-1] != 0 {
			t.Fatalf("it has grown to %d bytes", len(b))
		}
		for at := 0; at < large; at += 4 << 10 {
			b[at] = 1
		}
		r.back = small
		if b = r.Reallocate(large); len(b) != small || b[0] != 1 {
			t.Fatalf("it has gone back to %d bytes", len(b))
		}
		if n := resident(t, r); n > 2*small {
			t.Errorf("%d bytes of it are resident", n)
		}
	}
	if r.Reallocate(large+1) != nil {
		t.Error("it grows beyond its maximum")
	}
}

// resident is how much of a room is in memory.
func resident(t *testing.T, r *Room) (n int) {
	t.Helper()
	pages := make([]byte, len(r.reserved)/4096)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&r.reserved[0])), uintptr(len(r.reserved)),
		uintptr(unsafe.Pointer(&pages[0]))); errno != 0 {
		t.Fatal(errno)
	}
	for _, p := range pages {
		n += int(p&1) * 4096
	}
	return n
}

// A guest that wants more address space than there is does not start, and the error says so.
func TestNoRoom(t *testing.T) {
	r := &Room{}
	if r.Allocate(0, 1<<62); r.err == nil || r.Reallocate(64<<10) != nil {
		t.Errorf("a room of 4 EiB: %v", r.err)
	}
	r.Free()
}

func TestObstacles(t *testing.T) {
	dropping := sample()
	dropping.PassiveData("x")
	dropping.Func("drop", "", "", 0, 0xfc, 9, 0)
	large := sample()
	large.Pages = maxPages
	for name, c := range map[string]struct {
		plan Plan
		want string
	}{
		"table": {PlanOf(meter.Info{ChangesTable: true}, 1<<20), "table"},
		"data":  {PlanOf(meter.Info{DropsData: true}, 1<<20), "data segment"},
		"v128":  {PlanOf(meter.Info{V128Globals: true}, 1<<20), "128 bits"},
		"raw":   {Unmetered, "not metered"},
	} {
		i := guests(t, sample().Encode())()
		i.state.Attach(i.Module, c.plan, &i.room)
		if _, err := i.state.Save(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if i.state.Restore(&Snapshot{size: 2 << 16}) {
			t.Errorf("%s: it is restored", name)
		}
	}
	if _, err := guests(t, dropping.Encode())().state.Save(); err == nil || !strings.Contains(err.Error(), "data segment") {
		t.Errorf("a guest that drops data: %v", err)
	}
	if _, err := guests(t, large.Encode())().state.Save(); err == nil || !strings.Contains(err.Error(), "more than 458752") {
		t.Errorf("a guest of 8 pages where 7 are allowed: %v", err)
	}
}

func TestNoAllocationPerRestore(t *testing.T) {
	i := guests(t, sample().Encode())()
	s := save(t, i)
	i.call(t, "grow", 2)
	i.state.Restore(s)
	if n := testing.AllocsPerRun(100, func() {
		i.Memory().Grow(2)
		if !i.state.Restore(s) {
			t.Error("it is not restored")
		}
	}); n != 0 {
		t.Errorf("%v allocations per restore", n)
	}
}

// BenchmarkRestore is a guest of so many KiB of which every fourth KiB is not zero.
func BenchmarkRestore(b *testing.B) {
	for _, pages := range []uint32{1, 2, 16, 48, 256} {
		b.Run(fmt.Sprintf("%dKiB", pages*64), func(b *testing.B) {
			s, room := State{}, Room{}
			shot := &Snapshot{size: int(pages) << 16}
			room.Allocate(0, uint64(shot.size))
			defer room.Free()
			room.Reallocate(uint64(shot.size))
			for at := 0; at < shot.size; at += 4 * block {
				shot.runs = append(shot.runs, run{at, at + block})
				shot.bytes = append(shot.bytes, make([]byte, block)...)
			}
			s.room, s.memory = &room, sized{nil, uint32(shot.size)}
			for b.Loop() {
				s.Restore(shot)
			}
		})
	}
}

// sized is a memory of which only the size is known.
type sized struct {
	api.Memory
	bytes uint32
}

func (s sized) Size() uint32 { return s.bytes }
