package wasm

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/conformance/rig"
)

// module puts sections after the preamble of a WebAssembly module: an id, and what is in it.
func module(sections ...[]byte) []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		out = append(append(out, s[0]), uleb(len(s)-1)...)
		out = append(out, s[1:]...)
	}
	return out
}

// uleb is n as unsigned LEB128.
func uleb(n int) (b []byte) {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func section(id byte, count int, content ...byte) []byte {
	return slices.Concat([]byte{id}, uleb(count), content)
}

func named(name string, kind, index byte) []byte {
	return slices.Concat(uleb(len(name)), []byte(name), []byte{kind, index})
}

// functions is a module of Proxy-Wasm 0.2.1 with n functions of type () -> () and that code; the last one is the start function where
// start is set.
func functions(n int, code []byte, start bool) []byte {
	body := slices.Concat([]byte{0}, code, []byte{0x0b})
	body = append(uleb(len(body)), body...)
	sections := [][]byte{
		section(1, 1, 0x60, 0, 0),
		section(3, n, make([]byte, n)...),
		section(5, 1, 0, 1),
		section(7, 2, slices.Concat(named("memory", 2, 0), named("proxy_abi_version_0_2_1", 0, 0))...),
	}
	if start {
		sections = append(sections, slices.Concat([]byte{8}, uleb(n-1)))
	}
	return module(append(sections, section(10, n, bytes.Repeat(body, n)...))...)
}

// calls is code that calls function 0 so often.
func calls(n int) []byte { return bytes.Repeat([]byte{0x10, 0}, n) }

// TestW106Refused: what cannot run is refused by edge check, with the reason, in bounded time and memory, while an edge beside it goes
// on serving.
func TestW106Refused(t *testing.T) {
	long(t)
	origin := rig.NewOrigin(t, talk)
	e := rig.Start(t, rig.Config{Log: "level = \"info\"\n", Rest: app(origin) + goodGuests(t)})
	good := newCrowd(t, e.Addr)
	defer good.finish()
	probe, err := os.ReadFile(guest(t, "probe-0_2_1"))
	rig.Must(t, err)
	const start = 2 * time.Second // what a guest may take to start
	for _, c := range []struct {
		name   string
		wasm   []byte
		config string
		say    string        // what the refusal says; "" is for a module that is taken
		limit  time.Duration // beyond the start's
	}{
		{name: "W94 a start function that never ends", wasm: functions(1, []byte{0x03, 0x40, 0x0c, 0, 0x0b}, true), say: "CPU", limit: start},
		{name: "W94 vm_start that never ends", wasm: probe, config: "vm_start: loop", say: "CPU", limit: start},
		{name: "W94 configure that never ends", wasm: probe, config: "configure: loop", say: "CPU", limit: start},
		{name: "W94 root context that never ends", wasm: probe, config: "root_context_create: loop", say: "CPU", limit: start},
		{name: "W96 configure that recurses", wasm: probe, config: "configure: recurse", say: "deep|depth|nest"},
		{name: "W95 configure that takes all memory", wasm: probe, config: "configure: bomb 1000000000", say: "CPU", limit: start},
		{name: "W98 configure that floods", wasm: probe, config: "configure: flood 1000000000", say: "host calls"},
		{name: "W97 configure that traps", wasm: probe, config: "configure: proxy_log 4 'I give up'; trap", say: "I give up"},
		{name: "W97 a start function that traps", wasm: functions(1, []byte{0}, true), say: "unreachable"},
		{name: "W97 a configuration refused", wasm: probe, config: "configure: return 1", say: "configur"},
		{name: "W106 10,000 functions", wasm: functions(10_000, calls(20), false), limit: 20 * time.Second},
		{name: "W106 a million functions", wasm: functions(1_000_000, nil, false), say: "function", limit: 20 * time.Second},
		{name: "W106 one function of a million calls", wasm: functions(1, calls(1_000_000), false), say: "a function of", limit: 20 * time.Second},
		{name: "W106 nothing", say: "."},
		{name: "W106 not a module", wasm: []byte("#!/bin/sh\n"), say: "."},
		{name: "W106 cut short", wasm: probe[:len(probe)/2], say: "."},
		{name: "W106 without memory", wasm: module(section(1, 1, 0x60, 0, 0), section(3, 1, 0),
			section(7, 1, named("proxy_abi_version_0_2_1", 0, 0)...), section(10, 1, 2, 0, 0x0b)), say: "memory"},
		{name: "W106 of no ABI", wasm: module(section(5, 1, 0, 1), section(7, 1, named("memory", 2, 0)...)), say: "ABI"},
		{name: "W106 a component", wasm: []byte("\x00asm\x0d\x00\x01\x00"), say: "component"},
		{name: "W106 an import nobody has", wasm: module(section(1, 1, 0x60, 0, 0),
			section(2, 1, slices.Concat([]byte{3}, []byte("env"), []byte{4}, []byte("fork"), []byte{0, 0})...),
			section(5, 1, 0, 1), section(7, 2, slices.Concat(named("memory", 2, 0), named("proxy_abi_version_0_2_1", 0, 0))...)), say: "env.fork"},
		{name: "W106 the meter's own names", wasm: module(section(1, 1, 0x60, 0, 0),
			section(2, 1, slices.Concat([]byte{4}, []byte("edge"), []byte{4}, []byte("fuel"), []byte{0, 0})...), section(5, 1, 0, 1),
			section(7, 2, slices.Concat(named("memory", 2, 0), named("proxy_abi_version_0_2_1", 0, 0))...)), say: "edge"},
	} {
		t.Run(c.name, func(t *testing.T) {
			good.lap()
			took, code, said, rss := check(t, c.wasm, c.config)
			n, p50, p99 := good.lap()
			t.Logf("%d bytes: status %d after %v with at most %d MiB; good guests of another process: %d requests, p50 %v, p99 %v; %s",
				len(c.wasm), code, took, rss>>20, n, p50, p99, said[:min(len(said), 300)])
			if (code == 0) != (c.say == "") || !regexp.MustCompile(c.say).MatchString(said) {
				t.Errorf("edge check ends with %d and says %q, want %q", code, said, c.say)
			}
			if line := rig.Terrible(said); line != "" {
				t.Errorf("edge check says %q", line)
			}
			if took > 3*c.limit+5*time.Second {
				t.Errorf("edge check took %v", took)
			}
			if rss > 1<<30 {
				t.Errorf("edge check took %d MiB", rss>>20)
			}
		})
	}
}

// check runs edge check on a configuration with one filter, and says how long it took, how it ended, what it said, and the most memory it
// had, in bytes.
func check(t *testing.T, wasm []byte, config string) (took time.Duration, code int, said string, rss int64) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "bad.wasm")
	rig.Must(t, os.WriteFile(path, wasm, 0o600))
	toml := filepath.Join(dir, "edge.toml")
	text := "[[listen]]\naddress = \"127.0.0.1:1\"\n" + filterOf("bad", path, config, "") +
		"[[routes]]\nfilters = [\"bad\"]\nrespond = { status = 200 }\n"
	rig.Must(t, os.WriteFile(toml, []byte(text), 0o600))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, rig.Binary(t), "check", "-c", toml)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took = time.Since(began)
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if use, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		rss = use.Maxrss << 10
	}
	return took, cmd.ProcessState.ExitCode(), strings.TrimSpace(strings.ReplaceAll(string(out), dir, "")), rss
}
