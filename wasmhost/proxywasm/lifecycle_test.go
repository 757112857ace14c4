package proxywasm

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"edge/filters"
	"edge/filters/message"
	"edge/wasmhost/internal/asm"
	"edge/wasmhost/internal/fake"
	"edge/wasmhost/internal/wasi"
)

// diary is a guest that logs the name of each callback as it comes, with up to two of its arguments as letters from A.
func diary(result int32, names ...string) *asm.Module {
	m := &asm.Module{Pages: pages}
	log := m.Import("env", "proxy_log", "iii", "i")
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	for k, name := range names {
		at := int32(0x200 + 0x40*k)
		m.Data(at, name+" ??")
		want := callbacks[name]
		code := []byte{}
		for arg := range min(want.params, 2) {
			code = asm.Join(code, asm.Const(at+int32(len(name)+1+arg)), []byte{asm.LocalGet, byte(arg)}, asm.Const('A'),
				[]byte{asm.I32Add, 0x3a, 0, 0}) // i32.store8
		}
		code = asm.Join(code, asm.Const(2), asm.Const(at), asm.Const(int32(len(name)+3)), asm.Call(log), []byte{asm.Drop})
		results := ""
		if want.result {
			results = "i"
			code = asm.Join(code, asm.Const(result))
		}
		m.Func(name, strings.Repeat("i", want.params), results, 0, code...)
	}
	return m
}

func TestOrderOfLife(t *testing.T) {
	r := newRig(t, diary(1, "_initialize", "main", "proxy_on_context_create", "proxy_on_vm_start", "proxy_on_configure",
		"proxy_on_done", "proxy_on_log", "proxy_on_delete"))
	// B is the root's id; vm config has 9 bytes, plugin config 13.
	want := []string{"_initialize ??", "main AA", "proxy_on_context_create BA", "proxy_on_vm_start BJ", "proxy_on_configure BN"}
	if fmt.Sprint(r.lines) != fmt.Sprint(want) {
		t.Errorf("start: %q, want %q", r.lines, want)
	}
	r.lines = nil
	if err := r.in.End(r.stream); err != nil {
		t.Fatal(err)
	}
	want = []string{"2 proxy_on_context_create CB", "2 proxy_on_done C?", "2 proxy_on_log C?", "2 proxy_on_delete C?"}
	if fmt.Sprint(r.x.Lines) != fmt.Sprint(want) {
		t.Errorf("stream: %q, want %q", r.x.Lines, want)
	}
	r.in.Close()
	if want := []string{"proxy_on_done B?", "proxy_on_delete B?"}; fmt.Sprint(r.lines) != fmt.Sprint(want) {
		t.Errorf("end: %q, want %q", r.lines, want)
	}
}

func TestStartWithoutInitialize(t *testing.T) {
	r := newRig(t, diary(1, "_start", "main"))
	if want := []string{"_start ??"}; fmt.Sprint(r.lines) != fmt.Sprint(want) {
		t.Errorf("start: %q, want %q", r.lines, want)
	}
}

// W102: a call that is under way when its stream ends is answered as failed after the stream's context is gone, and what
// the guest then asks for that context is refused.
func TestW102CallsOutliveTheirStream(t *testing.T) {
	m := withAllocator(trampolines("0_2_1"), bump)
	m.Func("proxy_on_http_call_response", "iiiii", "", 0,
		asm.Join(asm.Const(outAt+8), []byte{asm.LocalGet, 0, asm.I32Store, 2, 0},
			asm.Const(outAt+12), []byte{asm.LocalGet, 1, asm.I32Store, 2, 0},
			asm.Const(outAt+16), []byte{asm.LocalGet, 2, asm.I32Store, 2, 0})...)
	r := newRig(t, m)
	h, hn := r.text(mapAt, packed(":method", "GET", ":path", "/", ":authority", "a"))
	u, un := r.text(keyAt, "app")
	if s := r.call("proxy_http_call", u, un, h, hn, 0, 0, 0, 0, 0, outAt); s != ok {
		t.Fatalf("status %d", s)
	}
	id, token := r.stream.id, r.word(outAt)
	if err := r.in.End(r.stream); err != nil {
		t.Fatal(err)
	}
	if r.word(outAt+8) != rootID || r.word(outAt+12) != token || r.word(outAt+16) != 0 {
		t.Errorf("context %d, call %d, %d headers", r.word(outAt+8), r.word(outAt+12), r.word(outAt+16))
	}
	if s := r.call("proxy_set_effective_context", uint64(id)); s != badArgument {
		t.Errorf("the ended context: status %d", s)
	}
	if err := r.in.CallDone(r.stream, 1, &filters.CallAnswer{}); err != nil {
		t.Errorf("an answer that comes later: %v", err)
	}
}

func TestAnswerOfACall(t *testing.T) {
	m := withAllocator(trampolines("0_2_1"), bump)
	m.Func("proxy_on_http_call_response", "iiiii", "", 0,
		asm.Join(asm.Const(outAt+8), []byte{asm.LocalGet, 2, asm.I32Store, 2, 0},
			asm.Const(outAt+12), []byte{asm.LocalGet, 3, asm.I32Store, 2, 0},
			asm.Const(outAt+16), []byte{asm.LocalGet, 4, asm.I32Store, 2, 0})...)
	r := newRig(t, m)
	var header, trailer message.Fields
	header.Add("a", "b")
	trailer.Add("c", "d")
	answer := &filters.CallAnswer{Status: 200, Header: &header, Body: []byte("12345"), Trailer: &trailer}
	r.stream.calls[3] = call{exchange: 70, guest: 9}
	if err := r.in.CallDone(r.stream, 70, answer); err != nil {
		t.Fatal(err)
	}
	if r.word(outAt+8) != 2 || r.word(outAt+12) != 5 || r.word(outAt+16) != 1 {
		t.Errorf("%d headers, %d bytes, %d trailers", r.word(outAt+8), r.word(outAt+12), r.word(outAt+16))
	}
	if r.stream.calls[3].guest != 0 || r.in.answer != nil {
		t.Error("the call is not over")
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		result     int32
		head, body filters.Action
	}{
		{0, filters.Continue, filters.Continue}, {1, filters.Pause, filters.Pause}, {2, filters.Continue, filters.Pause},
		{3, filters.Pause, filters.Pause}, {4, filters.Pause, filters.Pause}, {5, filters.Continue, filters.Continue},
		{-1, filters.Continue, filters.Continue},
	} {
		m := &asm.Module{}
		m.Func("proxy_abi_version_0_2_1", "", "", 0)
		m.Func("proxy_on_request_headers", "iii", "i", 0, asm.Const(c.result)...)
		m.Func("proxy_on_response_body", "iii", "i", 0, asm.Const(c.result)...)
		m.Func("proxy_on_request_trailers", "ii", "i", 0, asm.Const(c.result)...)
		r := newRig(t, m)
		var held message.Body
		head, err := r.in.Head(r.stream, filters.Request, false)
		body, err2 := r.in.Body(r.stream, filters.Response, &held, []byte("x"), true)
		trailers, err3 := r.in.Trailers(r.stream, filters.Request)
		if err != nil || err2 != nil || err3 != nil {
			t.Fatal(err, err2, err3)
		}
		if head != c.head || body != c.body || trailers != c.head || held.Len() != 1 {
			t.Errorf("%d: head %v, body %v, trailers %v", c.result, head, body, trailers)
		}
		wantParked := int64(0)
		if c.head == filters.Pause || c.body == filters.Pause {
			wantParked = 1
		}
		if got := r.plugin.Counters.Parked.Load(); got != wantParked {
			t.Errorf("%d: %d parked", c.result, got)
		}
		if r.stream.paused[1] == onHead || r.stream.paused[0] == onBody {
			t.Errorf("%d: paused %v", c.result, r.stream.paused)
		}
	}
}

func TestBodyIsShownWithWhatIsHeld(t *testing.T) {
	m := &asm.Module{Globals: []int32{0}}
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	m.Func("proxy_on_request_body", "iii", "i", 0,
		asm.Join(asm.Const(outAt), []byte{asm.LocalGet, 1, asm.I32Store, 2, 0}, asm.Const(1))...)
	r := newRig(t, m)
	var held message.Body
	for k, want := range []uint32{3, 6, 6} {
		chunk := []byte("abc")
		if k == 2 {
			chunk = nil
		}
		if _, err := r.in.Body(r.stream, filters.Request, &held, chunk, k == 2); err != nil {
			t.Fatal(err)
		}
		if got := r.word(outAt); got != want {
			t.Errorf("piece %d: %d bytes are shown, want %d", k, got, want)
		}
	}
}

func TestStreamTable(t *testing.T) {
	var table streamTable
	alive := map[uint32]*Stream{}
	random := rand.New(rand.NewPCG(3, 4))
	for step := range 50_000 {
		if random.IntN(2) == 0 || len(alive) == 0 {
			s := &Stream{}
			if step%1000 == 0 {
				table.last = 1<<31 - 3 // where ids begin again
			}
			table.add(s)
			if s.id < firstStream || alive[s.id] != nil {
				t.Fatalf("id %d", s.id)
			}
			alive[s.id] = s
		} else {
			for id, s := range alive {
				table.remove(s)
				table.remove(s)
				delete(alive, id)
				if table.find(id) != nil {
					t.Fatalf("%d is still there", id)
				}
				break
			}
		}
		if table.n != len(alive) {
			t.Fatalf("%d streams, want %d", table.n, len(alive))
		}
		if step%100 == 0 {
			for id, s := range alive {
				if table.find(id) != s {
					t.Fatalf("%d is not found", id)
				}
			}
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	r := probe(t)
	for range MaxStreams - 1 {
		if err := r.in.Open(&Stream{}, r.x); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.in.Open(&Stream{}, r.x); err != ErrTooManyStreams {
		t.Errorf("error %v", err)
	}
}

// W103: a stream that is used again shows nothing of the exchange before.
func TestW103StreamsForget(t *testing.T) {
	r := probe(t)
	respond(r, 200, "secret", "secret", packed("secret", "secret"))
	r.stream.written, r.stream.calls[0] = 5, call{exchange: 1, guest: 2}
	r.in.setPaused(r.stream, filters.Request, onHead)
	if err := r.in.End(r.stream); err != nil {
		t.Fatal(err)
	}
	if err := r.in.Open(r.stream, fake.New()); err != nil {
		t.Fatal(err)
	}
	s := r.stream
	if s.written != 0 || s.calls != [filters.MaxCalls]call{} || s.Paused() || s.asked.respond || len(s.asked.reply.Header) != 0 ||
		len(s.asked.reply.Body) != 0 || s.asked.reply.Details != "" {
		t.Errorf("%+v", s)
	}
}

// wasiCall is a guest that calls one WASI function at its start and stores the result at outAt.
func wasiCall(name, params string, code []byte) *asm.Module {
	m := &asm.Module{Pages: pages}
	result := "i"
	if name == "proc_exit" {
		result = ""
	}
	f := m.Import("wasi_snapshot_preview1", name, params, result)
	m.Func("proxy_abi_version_0_2_1", "", "", 0)
	if result != "" {
		code = asm.Join(asm.Const(outAt), code, asm.Call(f), []byte{asm.I32Store, 2, 0})
	} else {
		code = asm.Join(code, asm.Call(f))
	}
	m.Func("_start", "", "", 0, code...)
	return m
}

func constants(values ...int32) []byte {
	var code []byte
	for _, v := range values {
		code = asm.Join(code, asm.Const(v))
	}
	return code
}

func TestWASI(t *testing.T) {
	t.Run("standard output and error are log lines", func(t *testing.T) {
		for fd := int32(1); fd <= 2; fd++ {
			m := wasiCall("fd_write", "iiii", constants(fd, 0x40, 1, 0x60))
			m.Data(0x40, "\x00\x02\x00\x00\x13\x00\x00\x00")
			m.Data(0x200, "one\ntwo\n\nnot ended yet")
			r := newRig(t, m)
			if got := fmt.Sprintf("%q", r.lines); got != `["one" "two"]` || r.word(outAt) != 0 {
				t.Errorf("errno %d, lines %s", r.word(outAt), got)
			}
		}
	})
	t.Run("W107 random", func(t *testing.T) {
		r := newRig(t, wasiCall("random_get", "ii", constants(0x1000, MaxRandom)))
		if got := r.word(outAt); got != 0 || r.word(0x1000) == 0 && r.word(0x2000) == 0 {
			t.Errorf("errno %d", got)
		}
		r = newRig(t, wasiCall("random_get", "ii", constants(0x1000, MaxRandom+1)))
		if got := r.word(outAt); got != wasi.ErrnoInval {
			t.Errorf("too much: errno %d", got)
		}
		r = newRig(t, wasiCall("random_get", "ii", constants(beyond-1, 2)))
		if got := r.word(outAt); got != wasi.ErrnoInval {
			t.Errorf("out of bounds: errno %d", got)
		}
	})
	t.Run("W107 no environment, no arguments, no files", func(t *testing.T) {
		for name, want := range map[string]uint32{"environ_sizes_get": 0, "args_sizes_get": 0, "fd_prestat_get": 8} {
			args := constants(0x40, 0x44)
			if name == "fd_prestat_get" {
				args = constants(3, 0x40)
			}
			r := newRig(t, wasiCall(name, "ii", args))
			if r.word(outAt) != want || r.word(0x40) != 0 || r.word(0x44) != 0 {
				t.Errorf("%s: errno %d, %d, %d", name, r.word(outAt), r.word(0x40), r.word(0x44))
			}
		}
	})
	t.Run("W107 the clock is coarse", func(t *testing.T) {
		r := newRig(t, wasiCall("clock_time_get", "iIi", asm.Join(asm.Const(0), []byte{0x42, 1}, asm.Const(0x40))))
		got, _ := r.in.Memory.ReadUint64Le(0x40)
		if got != 1700000000123456000 || r.word(outAt) != 0 {
			t.Errorf("errno %d, %d", r.word(outAt), got)
		}
	})
	t.Run("sleeping returns at once", func(t *testing.T) {
		m := wasiCall("poll_oneoff", "iiii", constants(0x40, 0x200, 3, 0x300))
		// One subscription to the monotonic clock, an hour from now: userdata, tag 0, clock 1, timeout, precision, flags; one to
		// read descriptor 0; one to write descriptor 9, which is not there.
		eight := "\x00\x00\x00\x00\x00\x00\x00\x00"
		m.Data(0x40, "clock..."+eight+"\x01"+eight[1:]+"\x00\xa0\xb8\x30\x46\x03\x00\x00"+eight+eight+
			"stdin..."+"\x01"+eight[1:]+eight+eight+eight+eight+"nothing."+"\x02"+eight[1:]+"\x09"+eight[1:]+eight+eight+eight)
		began := time.Now()
		r := newRig(t, m)
		if r.word(outAt) != 0 || time.Since(began) > 10*time.Second {
			t.Errorf("errno %d after %s", r.word(outAt), time.Since(began))
		}
		got, _ := r.in.Memory.Read(0x200, 96)
		want := "clock..." + eight + eight + eight + "stdin..." + "\x00\x00\x01" + eight[3:] + eight + eight + "nothing." + "\x08\x00\x02" + eight[3:] + eight + eight
		if n := r.word(0x300); n != 3 || string(got) != want {
			t.Errorf("%d events, %q", n, got)
		}
	})
	t.Run("a command that ends well serves on", func(t *testing.T) {
		r := newRig(t, wasiCall("proc_exit", "i", constants(0)))
		if err := r.in.End(r.stream); err != nil {
			t.Error(err)
		}
	})
	t.Run("a command that ends badly does not start", func(t *testing.T) {
		rt, module, err := compile(t, wasiCall("proc_exit", "i", constants(3)).Encode())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := module.NewInstance(rt, &Plugin{Now: time.Now}); err == nil || !strings.Contains(err.Error(), "exit code 3") {
			t.Errorf("error %v", err)
		}
	})
}
