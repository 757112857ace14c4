package proc

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestChildOutputAndStatus(t *testing.T) {
	c, err := Start(Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", "echo out; echo err >&2; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Wait(10 * time.Second)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("end is %v, want exit status 3", err)
	}
	if got := c.Log.String(); !strings.Contains(got, "out\n") || !strings.Contains(got, "err\n") {
		t.Errorf("log is %q", got)
	}
	if c.Leftover() {
		t.Error("something of the group is left")
	}
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	c, err := Start(Spec{Name: "deaf", Path: "/bin/sh", Args: []string{"-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"}})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Log.WaitFor(func(s string) bool { return strings.Contains(s, "up") }, 10*time.Second) {
		t.Fatal("the child did not start")
	}
	if err := c.Stop(syscall.SIGTERM, 100*time.Millisecond); !errors.Is(err, ErrTimeout) {
		t.Errorf("Stop says %v, want ErrTimeout", err)
	}
	if c.Running() {
		t.Error("it still runs")
	}
}

func TestFilesLimit(t *testing.T) {
	c, err := Start(Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", "ulimit -n"}, Files: 64})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(10 * time.Second); err != nil || c.Log.String() != "64\n" {
		t.Errorf("limit is %q, end %v", c.Log.String(), err)
	}
}

func TestWaitListening(t *testing.T) {
	addr, err := FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	idle, err := Start(Spec{Name: "cat", Path: "/bin/sh", Args: []string{"-c", "sleep 20"}})
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Kill()
	go func() {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return
		}
		defer l.Close()
		if conn, err := l.Accept(); err == nil {
			conn.Close()
		}
	}()
	if err := WaitListening(idle, addr, 10*time.Second); err != nil {
		t.Error(err)
	}

	gone, err := Start(Spec{Name: "gone", Path: "/bin/sh", Args: []string{"-c", "echo cannot bind; exit 1"}})
	if err != nil {
		t.Fatal(err)
	}
	other, _ := FreeAddr()
	if err := WaitListening(gone, other, 10*time.Second); err == nil || !strings.Contains(err.Error(), "cannot bind") {
		t.Errorf("error is %v, want the child's last words", err)
	}
}

func TestStat(t *testing.T) {
	if n, err := RSS(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("RSS is %d, %v", n, err)
	}
	if n, err := Descriptors(os.Getpid()); err != nil || n < 3 {
		t.Errorf("descriptors: %d, %v", n, err)
	}
	if n, err := CPUNanos(os.Getpid()); err != nil || n < 0 {
		t.Errorf("CPU is %d, %v", n, err)
	}
	if m := ReadMachine(); m.Total == 0 || m.Load == "" {
		t.Errorf("machine is %+v", m)
	}
}

func TestFreezeAndPeerPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ports, err := PeerPorts(os.Getpid())
	if port := l.Addr().(*net.TCPAddr).Port; err != nil || !ports[port] {
		t.Errorf("peers' ports are %v, %v; want %d among them", ports, err, port)
	}
	c, err := Start(Spec{Name: "spin", Path: "/bin/sh", Args: []string{"-c", "while :; do :; done"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Kill()
	if err := Freeze(c.PID()); err != nil {
		t.Fatal(err)
	}
	before, _ := CPUNanos(c.PID())
	time.Sleep(50 * time.Millisecond) // long enough for a tick
	if after, err := CPUNanos(c.PID()); err != nil || after != before {
		t.Errorf("the stopped process has used %d ns, %v", after-before, err)
	}
}
