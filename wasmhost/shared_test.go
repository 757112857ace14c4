package wasmhost

import (
	"encoding/binary"
	"sync"
	"testing"

	"edge/filters"
	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/fake"
)

// Places in the memory of the guest that counts.
const (
	countKey  = 0x100 // "n"
	countZero = 0x110 // a word that is 0: the count before anybody has counted
	countOut  = 0x120 // place, length and number of what getting gives
	countNew  = 0x130 // the raised count
	countID   = 0x140 // of the metric
	countHeap = 0x200
)

// sharedCounter is a guest that, for each request, raises a count in shared data by compare and swap and a metric by 1. It
// refuses its configuration, after it has written, where that is not empty.
func sharedCounter() []byte {
	m := &asm.Module{}
	get := m.Import("env", "proxy_get_shared_data", "iiiii", "i")
	set := m.Import("env", "proxy_set_shared_data", "iiiii", "i")
	define := m.Import("env", "proxy_define_metric", "iiii", "i")
	increment := m.Import("env", "proxy_increment_metric", "iI", "i")
	m.Data(countKey, "n")
	word := func(at int32) []byte { return asm.Join(asm.Const(at), []byte{asm.I32Load, 2, 0}) }
	store := func(at int32, value []byte) []byte { return asm.Join(asm.Const(at), value, []byte{asm.I32Store, 2, 0}) }
	write := asm.Join(
		asm.Const(countKey), asm.Const(1), asm.Const(countNew), asm.Const(4), word(countOut+8), asm.Call(set),
	)
	body := asm.Join(
		[]byte{asm.Loop, asm.Void},
		store(countOut, asm.Const(countZero)), store(countOut+8, asm.Const(0)),
		asm.Const(countKey), asm.Const(1), asm.Const(countOut), asm.Const(countOut+4), asm.Const(countOut+8), asm.Call(get), []byte{asm.Drop},
		store(countNew, asm.Join(word(countOut), []byte{asm.I32Load, 2, 0}, asm.Const(1), []byte{asm.I32Add})),
		write, []byte{asm.If, asm.Void, asm.Br, 1, asm.End, asm.End},
		asm.Const(0), asm.Const(countKey), asm.Const(1), asm.Const(countID), asm.Call(define), []byte{asm.Drop},
		word(countID), []byte{0x42, 1}, asm.Call(increment), []byte{asm.Drop}, // i64.const 1
		asm.Const(0),
	)
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	m.Func("proxy_on_memory_allocate", "i", "i", 0, asm.Const(countHeap)...)
	m.Func("proxy_on_request_headers", "iii", "i", 0, body...)
	m.Func("proxy_on_configure", "ii", "i", 0, asm.Join(
		asm.LocalGetOf(1), []byte{asm.If, asm.Void}, write, []byte{asm.Drop, asm.End},
		asm.LocalGetOf(1), asm.Const(0), []byte{0x46}, // i32.eq: true where there is no configuration
	)...)
	return m.Encode()
}

// sharedCount is the count that the filters of a vm_id have come to, and whether there is one.
func sharedCount(h *Host, vmID string) (n int, found bool) {
	m := h.commons.Join(vmID, "reader")
	defer m.Leave()
	v, _, found := m.Get("n")
	if !found {
		return 0, false
	}
	return int(binary.LittleEndian.Uint32([]byte(v))), true
}

func countRequests(t *testing.T, f *Filter, times int) {
	t.Helper()
	for range times {
		c := &connection{wake: make(chan struct{}, 1)}
		c.Fill()
		s, _ := f.NewStream(c)
		if s == nil {
			t.Error("no stream")
			return
		}
		c.until(t, func() bool { return s.Head(filters.Request, true) == filters.Continue })
		c.until(t, s.Close)
	}
}

// Guests on all lanes of two filters raise one count; none of the steps is lost.
func TestCASFromAllLanes(t *testing.T) {
	const crowd, each = 9, 100
	h := testHost(t, Options{})
	// Under contention a guest tries again, for as long as its turn lasts.
	spec := Spec{Name: "a", Wasm: sharedCounter(), Lanes: 4, VMID: "vm", Limits: Limits{CPU: StartCPU}}
	a := testFilter(t, h, spec)
	spec.Name = "b"
	b := testFilter(t, h, spec)
	spec.Name, spec.Isolation = "c", PerStream // whose memory is put back after each request, unlike what it shares
	c := testFilter(t, h, spec)
	countRequests(t, a, 1) // from now on there is a count
	var all sync.WaitGroup
	for k := range crowd {
		f := []*Filter{a, b, c}[k%3]
		all.Go(func() { countRequests(t, f, each) })
	}
	all.Wait()
	if n, _ := sharedCount(h, "vm"); n != crowd*each+1 {
		t.Errorf("%d, want %d", n, crowd*each+1)
	}
	for _, m := range h.GuestMetrics() {
		want := uint64(crowd * each / 3)
		if m.Filter == "a" {
			want++
		}
		if m.Name != "n" || m.Value != want {
			t.Errorf("%+v, want %d", m, want)
		}
	}
}

// W109: what guests share outlives a swap of the module, and nothing outlives the last filter.
func TestW109SharedStateOutlivesASwap(t *testing.T) {
	h := testHost(t, Options{})
	for name, vmID := range map[string]string{"a vm_id": "vm", "its own": ""} {
		spec := Spec{Name: "f", Wasm: sharedCounter(), Lanes: 2, VMID: vmID}
		old, err := h.NewFilter(spec)
		if err != nil {
			t.Fatal(err)
		}
		for version := range 10 {
			countRequests(t, old, 3)
			next, err := h.NewFilter(spec)
			if err != nil {
				t.Fatal(err)
			}
			old.Retire()
			<-old.Closed()
			old = next
			list := h.GuestMetrics()
			if len(list) != 1 || list[0].Value != uint64(3*(version+1)) {
				t.Errorf("%s, version %d: metrics %+v", name, version, list)
			}
			if u := h.SharedUse(); len(u) != 1 || u[0].Entries != 1 {
				t.Errorf("%s, version %d: %+v", name, version, u)
			}
		}
		countRequests(t, old, 1)
		if n, _ := sharedCount(h, vmID); vmID != "" && n != 31 {
			t.Errorf("%s: %d", name, n)
		}
		old.Retire()
		<-old.Closed()
		if len(h.SharedUse())+len(h.GuestMetrics()) != 0 {
			t.Errorf("%s: something is left of it", name)
		}
	}
}

// A version that cannot start leaves what the running one shares as it is, and alone it leaves nothing.
func TestSharedStateOfAFilterThatDoesNotStart(t *testing.T) {
	h := testHost(t, Options{})
	bad := Spec{Name: "f", Wasm: sharedCounter(), Lanes: 2, VMID: "vm", Config: []byte("no")}
	if _, err := h.NewFilter(bad); err == nil {
		t.Fatal("it starts")
	}
	if len(h.SharedUse())+len(h.GuestMetrics()) != 0 {
		t.Error("something is left of it")
	}
	good := bad
	good.Config = nil
	f := testFilter(t, h, good)
	countRequests(t, f, 2)
	if _, err := h.NewFilter(bad); err == nil {
		t.Fatal("it starts")
	}
	if _, found := sharedCount(h, "vm"); !found {
		t.Error("the running version's data is gone")
	}
}

// An http-wasm guest has no way to share, and takes no part.
func TestHTTPWasmSharesNothing(t *testing.T) {
	h := testHost(t, Options{})
	testFilter(t, h, Spec{Name: "redact", Wasm: example(t, "redact"), Config: []byte("word"), VMID: "vm"})
	if u := h.SharedUse(); len(u) != 0 {
		t.Errorf("%+v", u)
	}
}

// W98: what the host does for a guest is the guest's time. One that has the host copy a megabyte again and again, in
// steps of its own that are few, meets its limit about as soon as one that computes.
func TestW98LargeCopiesAreTheGuestsTime(t *testing.T) {
	h := testHost(t, Options{})
	f := testFilter(t, h, Spec{Name: "f", Lanes: 1, FailOpen: true, VMID: "vm", Wasm: misbehaving("proxy_on_request_headers", func(m *asm.Module) []byte {
		m.Pages = 20
		set := m.Import("env", "proxy_set_shared_data", "iiiii", "i")
		return asm.Join(
			[]byte{asm.Loop, asm.Void}, asm.Const(0), asm.Const(1), asm.Const(0), asm.Const(1<<20), asm.Const(0), asm.Call(set), []byte{asm.Drop},
			[]byte{asm.Br, 0, asm.End},
		)
	})})
	s := begin(t, f, fake.New())
	if got := s.Head(filters.Request, true); got != filters.Skip {
		t.Errorf("action %v", got)
	}
	s.Close()
	m := h.commons.Join("vm", "reader")
	defer m.Leave()
	_, writes, _ := m.Get("\x00") // each write has taken one number
	if writes == 0 || writes > 200 {
		t.Errorf("%d writes of a megabyte in %v", writes, DefaultCPU)
	}
	if n := f.Stats().Faults[CauseCPU]; n != 1 {
		t.Errorf("%d calls were ended for their time", n)
	}
}
