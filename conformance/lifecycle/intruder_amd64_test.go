package lifecycle

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"edge/conformance/rig"
	"edge/runtime/control/confine"
)

// intruder has threads of another process make system calls, as code that has broken out of a guest would. It is used from one OS thread.
type intruder struct {
	t   testing.TB
	tid int
	was unix.PtraceRegs
}

// instructionBytes is the length of the instruction that the thread finds before where it is: the system call it waits in.
const instructionBytes = 2 // 0f 05

// take takes a thread over; false: it is not waiting in the kernel, or gone.
func take(t testing.TB, tid int) (*intruder, bool) {
	t.Helper()
	if unix.PtraceAttach(tid) != nil {
		return nil, false
	}
	i := &intruder{t: t, tid: tid}
	i.wait()
	rig.Must(t, unix.PtraceGetRegs(tid, &i.was))
	code := make([]byte, instructionBytes)
	_, err := unix.PtracePeekText(tid, uintptr(i.was.Rip)-instructionBytes, code)
	if err != nil || code[0] != 0x0f || code[1] != 0x05 {
		rig.Must(t, unix.PtraceDetach(tid))
		return nil, false
	}
	return i, true
}

func (i *intruder) wait() (status unix.WaitStatus) {
	i.t.Helper()
	if _, err := unix.Wait4(i.tid, &status, unix.WALL, nil); err != nil {
		i.t.Fatal(err)
	}
	return status
}

// call makes a system call. A text among its arguments is put on the thread's stack, where nothing is yet. alive: the thread is still there.
func (i *intruder) call(nr uintptr, args ...any) (errno unix.Errno, alive bool) {
	i.t.Helper()
	regs := i.was
	regs.Rax, regs.Orig_rax, regs.Rip = uint64(nr), ^uint64(0), i.was.Rip-instructionBytes
	for n, a := range args {
		to := [...]*uint64{&regs.Rdi, &regs.Rsi, &regs.Rdx}[n]
		switch a := a.(type) {
		case int:
			*to = uint64(a)
		case string:
			*to = regs.Rsp - 1024
			if _, err := unix.PtracePokeData(i.tid, uintptr(*to), append([]byte(a), 0, 0, 0, 0, 0, 0, 0, 0)[:(len(a)/8+1)*8]); err != nil {
				i.t.Fatal(err)
			}
		}
	}
	rig.Must(i.t, unix.PtraceSetRegs(i.tid, &regs))
	rig.Must(i.t, unix.PtraceSingleStep(i.tid))
	if status := i.wait(); !status.Stopped() {
		return 0, false
	}
	if err := unix.PtraceGetRegs(i.tid, &regs); err != nil {
		return 0, false
	}
	if n := int64(regs.Rax); n < 0 {
		errno = unix.Errno(-n)
	}
	return errno, true
}

// leave has the thread go on as if nothing had been.
func (i *intruder) leave() {
	i.t.Helper()
	rig.Must(i.t, unix.PtraceSetRegs(i.tid, &i.was))
	rig.Must(i.t, unix.PtraceDetach(i.tid))
}

// TestIntruder: whoever makes a child's threads do as he likes, each of them, reaches nothing outside; who tries to run a program ends the
// child, and another takes its place.
func TestIntruder(t *testing.T) {
	if s := confine.Probe(); s.Landlock < 6 || !s.Seccomp {
		t.Skipf("this kernel has %+v", s)
	}
	// The process that traces another is a thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	e := rig.Start(t, rig.Config{Log: "level = \"info\"\n", Rest: "[[routes]]\nrespond = { body = \"here\" }\n"})
	hello := func() {
		t.Helper()
		if p := rig.Dial(t, e.Addr).Get("/", ""); p.Status != 200 || string(p.Body) != "here" {
			t.Errorf("%d %q", p.Status, p.Body)
		}
	}
	hello()
	pid := e.PID()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	rig.Must(t, err)
	taken, main := 0, 0
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name()) // proc(5)
		i, ok := take(t, tid)
		if !ok {
			continue
		}
		taken, main = taken+1, tid
		for _, c := range []struct {
			what string
			nr   uintptr
			args []any
			want unix.Errno
		}{
			{"asking who it is", unix.SYS_GETPID, nil, 0},
			{"opening /proc/self/status", unix.SYS_OPENAT, []any{unix.AT_FDCWD, "/proc/self/status", unix.O_RDONLY}, 0},
			{"opening /etc/shadow", unix.SYS_OPENAT, []any{unix.AT_FDCWD, "/etc/shadow", unix.O_RDONLY}, unix.EACCES},
			{"opening edge.toml", unix.SYS_OPENAT, []any{unix.AT_FDCWD, "edge.toml", unix.O_RDONLY}, unix.EACCES},
			{"writing to /tmp", unix.SYS_OPENAT, []any{unix.AT_FDCWD, "/tmp/edge-intruder", unix.O_WRONLY | unix.O_CREAT}, unix.EACCES},
			{"a raw socket", unix.SYS_SOCKET, []any{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, unix.EPERM},
			{"a signal to the control process", unix.SYS_KILL, []any{e.Child.PID(), int(unix.SIGKILL)}, unix.EPERM},
			{"a process", unix.SYS_CLONE, []any{int(unix.SIGCHLD)}, unix.EPERM},
			{"becoming somebody else", unix.SYS_SETUID, []any{1}, unix.EPERM},
		} {
			if errno, alive := i.call(c.nr, c.args...); !alive || errno != c.want {
				t.Fatalf("thread %d, %s: %q, alive %t, want %q", tid, c.what, unix.ErrnoName(errno), alive, unix.ErrnoName(c.want))
			}
		}
		i.leave()
	}
	if taken == 0 {
		t.Skip("no thread can be traced here")
	}
	if taken < 3 {
		t.Fatalf("%d of %d threads were looked at", taken, len(tasks))
	}
	hello()

	i, ok := take(t, main)
	if !ok {
		t.Fatalf("thread %d runs", main)
	}
	if errno, alive := i.call(unix.SYS_EXECVE, "/bin/sh", 0, 0); alive {
		t.Errorf("executing a shell: %q, and the thread goes on", unix.ErrnoName(errno))
	}
	within(t, "another child is there", func() bool { return e.PID() != pid && strings.Contains(e.Log.String(), "SIGSYS") })
	within(t, "it serves", func() bool {
		answer, err := client.Get("http://" + e.Addr + "/")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil && answer.StatusCode == 200
	})
}
