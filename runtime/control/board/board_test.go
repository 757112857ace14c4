package board

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childVariable has the test program be a child that fills the board it inherits.
const childVariable = "EDGE_BOARD_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		b, err := Open(3)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		b.SetState(Ready)
		b.Beat(Clock(), Figures{Connections: 7, Accepted: 9, NotAccepting: true})
		for i, c := range b.Cells() {
			c.Store(uint64(100*b.Number() + i))
		}
		fmt.Println("filled")
		select {}
	}
	os.Exit(m.Run())
}

var began = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

// create makes a board with a view that the test closes.
func create(t *testing.T, number, generation, workers int) (*View, int) {
	t.Helper()
	v, fd, err := Create(number, generation, workers, began)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v, fd
}

func look(t *testing.T, v *View) Seen {
	t.Helper()
	s, open := v.Look()
	if !open {
		t.Fatal("the view is closed")
	}
	return s
}

// TestTwoMappings (P8): what the child stores is what the control process sees, and nothing else changes.
func TestTwoMappings(t *testing.T) {
	v, fd := create(t, 12, 3, 4)
	want := Seen{Number: 12, Generation: 3, Began: began, Cells: make([]uint64, 4)}
	if got := look(t, v); !reflect.DeepEqual(got, want) {
		t.Errorf("at the beginning %+v, want %+v", got, want)
	}
	b, err := Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	if b.Number() != 12 || b.Generation() != 3 || len(b.Cells()) != 4 {
		t.Errorf("child %d of generation %d with %d cells", b.Number(), b.Generation(), len(b.Cells()))
	}
	want.PID = os.Getpid()
	for s := Starting; s < states; s++ {
		b.SetState(s)
		f := Figures{NotAccepting: s == Retiring, Connections: 5 + int(s), Accepted: 1<<40 + uint64(s)}
		b.Beat(1000+int64(s), f)
		for i, c := range b.Cells() {
			c.Store(uint64(s)<<32 | uint64(i))
			want.Cells[i] = uint64(s)<<32 | uint64(i)
		}
		want.Figures, want.Heartbeat = f, 1000+int64(s)
		want.State = s
		if got := look(t, v); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v, want %+v", s, got, want)
		}
	}
	if got := want.Silent(want.Heartbeat + 70); got != 70 {
		t.Errorf("silent for %v", got)
	}
	if got := (&Seen{}).Silent(5); got >= 0 {
		t.Errorf("one that has never spoken is silent for %v", got)
	}
	if got := want.Silent(0); got != 0 {
		t.Errorf("one that has spoken since is silent for %v", got)
	}
}

// TestKilledChild: a child that is killed leaves its board behind.
func TestKilledChild(t *testing.T) {
	v, fd := create(t, 5, 1, 3)
	file := os.NewFile(uintptr(fd), "board")
	defer file.Close()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), childVariable+"=1")
	c.ExtraFiles = []*os.File{file}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	said, _ := bufio.NewReader(out).ReadString('\n')
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if said != "filled\n" {
		t.Fatalf("the child said %q", said)
	}
	got := look(t, v)
	want := Seen{Number: 5, Generation: 1, Began: began, PID: c.Process.Pid, Cells: []uint64{500, 501, 502}, Heartbeat: got.Heartbeat,
		Figures: Figures{State: Ready, NotAccepting: true, Connections: 7, Accepted: 9}}
	if !reflect.DeepEqual(got, want) || got.Heartbeat <= 0 || got.Heartbeat > Clock() {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestHostileChild: a child can write what it likes, but neither take the memory away nor have the reader believe a size or a name.
func TestHostileChild(t *testing.T) {
	v, fd := create(t, 1, 1, 2)
	other, otherFD := create(t, 2, 1, 2)
	defer unix.Close(otherFD)
	if err := unix.Ftruncate(fd, 0); err == nil {
		t.Error("a child can shrink the memory under its reader")
	}
	if err := unix.Ftruncate(fd, 1<<20); err == nil {
		t.Error("a child can make the memory larger")
	}
	b, err := Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.memory {
		b.memory[i] = 0xff
	}
	got := look(t, v)
	if got.Number != 1 || got.Generation != 1 || !got.Began.Equal(began) || len(got.Cells) != 2 {
		t.Errorf("the reader believes %+v", got)
	}
	if got.PID < 0 || got.Connections < 0 || got.Heartbeat < 0 || got.State.String() != "unknown" || got.Silent(Clock()) != 0 {
		t.Errorf("figures out of their bounds: %+v", got)
	}
	if s := look(t, other); s.PID != 0 || s.Connections != 0 || s.Cells[0] != 0 {
		t.Errorf("a child wrote into another's board: %+v", s)
	}
}

// TestOpenRefuses what is no board, or one of another version (an upgraded edge never misreads).
func TestOpenRefuses(t *testing.T) {
	raw := func(size int64) int {
		fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Ftruncate(fd, size); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	changed := func(place int, to uint64) int {
		_, fd := create(t, 1, 1, 2)
		memory, err := unix.Mmap(fd, 0, bytesFor(2), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		mapping(memory).at(place).Store(to)
		unix.Munmap(memory)
		return fd
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		fd   int
		want string
	}{
		"empty": {raw(0), "0 bytes are no scoreboard"}, "zeros": {raw(4096), "it is no scoreboard"}, "huge": {raw(1 << 30), "are no scoreboard"},
		"not a file": {null, "0 bytes"}, "no descriptor": {1 << 20, "bad file descriptor"},
		"version": {changed(atVersion, Version+1), "of version 2, not 1"}, "cells": {changed(atCells, 3), "for 3 workers"},
	} {
		b, err := Open(c.fd)
		if b != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, b, err)
		}
		if _, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFD, 0); err == nil {
			t.Errorf("%s: the descriptor is left open", name)
		}
	}
	for _, workers := range []int{-1, MaxCells + 1} {
		if v, _, err := Create(1, 1, workers, began); v != nil || err == nil {
			t.Errorf("a board for %d workers", workers)
		}
	}
	if v, fd, err := Create(1, 1, MaxCells, began); err != nil {
		t.Error(err)
	} else {
		unix.Close(fd)
		v.Close()
	}
}

// TestCloseWhileLooking: a reader that comes late is told so, and does not touch memory that has gone.
func TestCloseWhileLooking(t *testing.T) {
	for range 50 {
		v, fd, err := Create(1, 1, 64, began)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for open := true; open; {
					_, open = v.Look()
				}
			})
		}
		all.Go(func() {
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if err := v.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
	}
}

// TestStoreAllocates nothing: workers store at each turn.
func TestStoreAllocates(t *testing.T) {
	_, fd := create(t, 1, 1, 1)
	b, err := Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	cell := b.Cells()[0]
	if n := testing.AllocsPerRun(100, func() {
		cell.Store(1)
		b.Beat(Clock(), Figures{Connections: 1})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
