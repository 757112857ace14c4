//go:build amd64 || arm64

package confine

import (
	"encoding/binary"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// call is one system call as a filter sees it.
type call struct {
	nr, arch uint32
	args     [6]uint64
}

// runs is what a program says to a call. It knows the instructions that assemble makes, as the kernel does.
func runs(t *testing.T, code []unix.SockFilter, c call) verdict {
	t.Helper()
	data := make([]byte, 64)
	binary.LittleEndian.PutUint32(data[callOffset:], c.nr)
	binary.LittleEndian.PutUint32(data[archOffset:], c.arch)
	for i, a := range c.args {
		binary.LittleEndian.PutUint64(data[argsOffset+8*i:], a)
	}
	a := uint32(0)
	for pc := 0; pc < len(code); pc++ {
		i := code[pc]
		on := false
		switch i.Code {
		case loadWord:
			a = binary.LittleEndian.Uint32(data[i.K:])
			continue
		case andValue:
			a &= i.K
			continue
		case answer:
			return verdict(i.K)
		case jump:
			pc += int(i.K)
			continue
		case jumpEqual:
			on = a == i.K
		case jumpFrom:
			on = a >= i.K
		default:
			t.Fatalf("instruction %d is %+v", pc, i)
		}
		if on {
			pc += int(i.Jt)
		} else {
			pc += int(i.Jf)
		}
	}
	t.Fatal("the program has no end")
	return 0
}

// TestEveryNumber: each number gets what its rule says, and those without one are refused, or unknown where they are too new.
func TestEveryNumber(t *testing.T) {
	rules := rulesFor(os.Getpid())
	code := assemble(arch, rules, newest+1)
	if len(code) > 4096 {
		t.Fatalf("the program has %d instructions, the kernel takes 4096", len(code))
	}
	want := map[uint32]verdict{}
	conditional := map[uint32]bool{}
	for _, r := range rules {
		nr := uint32(r.call)
		if _, twice := want[nr]; twice {
			t.Errorf("two rules are about %d", nr)
		}
		want[nr], conditional[nr] = r.then, len(r.when) > 0
	}
	for nr := range uint32(2000) {
		w, known := want[nr]
		switch {
		case conditional[nr]:
			continue
		case !known && nr <= newest:
			w = refuse
		case !known:
			w = unknown
		}
		if got := runs(t, code, call{nr: nr, arch: arch}); got != w {
			t.Errorf("%d: %#x, want %#x", nr, got, w)
		}
	}
	for _, c := range []call{{nr: unix.SYS_READ, arch: 0x40000003}, {nr: unix.SYS_READ}} {
		if got := runs(t, code, c); got != kill {
			t.Errorf("a call of architecture %#x: %#x", c.arch, got)
		}
	}
	if got := runs(t, code, call{nr: 0x40000000 | unix.SYS_READ, arch: arch}); got != unknown {
		t.Errorf("a call with the bit of x32: %#x", got)
	}
}

// TestArguments: where a system call has more than one use, only that of a server is allowed.
func TestArguments(t *testing.T) {
	const pid = 4321
	code := assemble(arch, rulesFor(pid), newest+1)
	const rw, rx = unix.PROT_READ | unix.PROT_WRITE, unix.PROT_READ | unix.PROT_EXEC
	const thread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD
	const high = 1 << 32 // the kernel does not look at it
	for _, c := range []struct {
		name string
		nr   uint32
		args [6]uint64
		want verdict
	}{
		{"tcp", unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC}, allow},
		{"udp", unix.SYS_SOCKET, [6]uint64{unix.AF_INET6, unix.SOCK_DGRAM}, allow},
		{"unix", unix.SYS_SOCKET, [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM}, allow},
		{"raw", unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_RAW}, refuse},
		{"raw, with more in the upper half", unix.SYS_SOCKET, [6]uint64{high | unix.AF_INET, high | unix.SOCK_RAW}, refuse},
		{"tcp, with more in the upper half", unix.SYS_SOCKET, [6]uint64{high | unix.AF_INET, high | unix.SOCK_STREAM}, allow},
		{"netlink", unix.SYS_SOCKET, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW}, refuse},
		{"packet", unix.SYS_SOCKET, [6]uint64{unix.AF_PACKET, unix.SOCK_DGRAM}, refuse},
		{"a pair", unix.SYS_SOCKETPAIR, [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM}, allow},
		{"a pair of tipc", unix.SYS_SOCKETPAIR, [6]uint64{unix.AF_TIPC, unix.SOCK_STREAM}, refuse},
		{"linger", unix.SYS_SETSOCKOPT, [6]uint64{7, unix.SOL_SOCKET, unix.SO_LINGER}, allow},
		{"no delay", unix.SYS_SETSOCKOPT, [6]uint64{7, unix.IPPROTO_TCP, unix.TCP_NODELAY}, allow},
		{"a program for packets", unix.SYS_SETSOCKOPT, [6]uint64{7, unix.SOL_SOCKET, unix.SO_ATTACH_BPF}, refuse},
		{"a protocol above tcp", unix.SYS_SETSOCKOPT, [6]uint64{7, unix.IPPROTO_TCP, unix.TCP_ULP}, refuse},
		{"a table of packet filters", unix.SYS_SETSOCKOPT, [6]uint64{7, unix.IPPROTO_IP, 64}, refuse},
		{"memory", unix.SYS_MMAP, [6]uint64{0, 4096, rw}, allow},
		{"code is sealed", unix.SYS_MPROTECT, [6]uint64{0, 4096, rx}, allow},
		{"code that can be written", unix.SYS_MPROTECT, [6]uint64{0, 4096, rw | rx}, refuse},
		{"code that can be written, at once", unix.SYS_MMAP, [6]uint64{0, 4096, rw | rx}, refuse},
		{"a thread", unix.SYS_CLONE, [6]uint64{thread}, allow},
		{"a process", unix.SYS_CLONE, [6]uint64{uint64(unix.SIGCHLD)}, refuse},
		{"a process with the same memory", unix.SYS_CLONE, [6]uint64{unix.CLONE_VM | unix.CLONE_VFORK}, refuse},
		{"a thread in a user namespace", unix.SYS_CLONE, [6]uint64{thread | unix.CLONE_NEWUSER}, refuse},
		{"clone3", unix.SYS_CLONE3, [6]uint64{}, unknown},
		{"a signal to itself", unix.SYS_TGKILL, [6]uint64{pid, 9}, allow},
		{"a signal to another", unix.SYS_TGKILL, [6]uint64{1, 1}, refuse},
		{"a signal to everybody", unix.SYS_KILL, [6]uint64{1<<64 - 1}, refuse},
		{"its limits", unix.SYS_PRLIMIT64, [6]uint64{0}, allow},
		{"the limits of another", unix.SYS_PRLIMIT64, [6]uint64{1}, refuse},
		{"names of memory", unix.SYS_PRCTL, [6]uint64{unix.PR_SET_VMA}, allow},
		{"to be looked into", unix.SYS_PRCTL, [6]uint64{unix.PR_SET_DUMPABLE, 1}, refuse},
		{"is it a terminal", unix.SYS_IOCTL, [6]uint64{1, unix.TCGETS}, allow},
		{"typing for the user", unix.SYS_IOCTL, [6]uint64{1, unix.TIOCSTI}, refuse},
	} {
		if got := runs(t, code, call{nr: c.nr, arch: arch, args: c.args}); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}

// TestJumps: a program whose parts are further apart than a conditional jump reaches is right all the same.
func TestJumps(t *testing.T) {
	var rules []rule
	for nr := range uintptr(400) {
		rules = append(rules, rule{call: 2 * nr, then: allow, when: [][]test{{is(0, uint32(nr)), isNot(1, 7)}, {masked(2, 0xf0, 0x30)}}})
	}
	code := assemble(arch, rules, 1000)
	for nr := range uint32(1100) {
		own := nr / 2
		for _, c := range []struct {
			args [6]uint64
			then verdict
		}{
			{[6]uint64{uint64(own), 6}, allow},
			{[6]uint64{uint64(own), 7}, refuse},
			{[6]uint64{uint64(own) + 1, 7, 0x3f}, allow},
			{[6]uint64{uint64(own) + 1, 6, 0x4f}, refuse},
		} {
			want := c.then
			if nr >= 1000 {
				want = unknown
			} else if nr%2 == 1 || nr >= 800 {
				want = refuse
			}
			if got := runs(t, code, call{nr: nr, arch: arch, args: c.args}); got != want {
				t.Fatalf("%d %v: %#x, want %#x", nr, c.args, got, want)
			}
		}
	}
}

// TestHostile: each of them is the end of the child.
func TestHostile(t *testing.T) {
	needs(t, 0, true)
	f := fence(t, Profile{}, Options{Root: os.Getuid() == 0})
	for name, nr := range map[string]uintptr{
		"ptrace": unix.SYS_PTRACE, "process_vm_readv": unix.SYS_PROCESS_VM_READV, "bpf": unix.SYS_BPF, "userfaultfd": unix.SYS_USERFAULTFD,
		"io_uring_setup": unix.SYS_IO_URING_SETUP, "unshare": unix.SYS_UNSHARE, "mount": unix.SYS_MOUNT, "keyctl": unix.SYS_KEYCTL,
		"perf_event_open": unix.SYS_PERF_EVENT_OPEN, "setns": unix.SYS_SETNS, "init_module": unix.SYS_INIT_MODULE,
	} {
		c := f.start(t, nil, "try", "call", strconv.Itoa(int(nr)))
		if c.out != "" || !c.status.Signaled() || c.status.Signal() != unix.SIGSYS {
			t.Errorf("%s: %q, status %v, want an end by SIGSYS", name, c.out, c.status)
		}
	}
	f.check(t, nil,
		attempt{"socket", "tcp", "done"}, attempt{"socket", "udp6", "done"}, attempt{"socket", "unix", "done"},
		attempt{"socket", "raw", "EPERM"}, attempt{"socket", "raw6", "EPERM"}, attempt{"socket", "packet", "EPERM"},
		attempt{"socket", "netlink", "EPERM"}, attempt{"socket", "alg", "EPERM"}, attempt{"socket", "vsock", "EPERM"},
		attempt{"packet program", "", "EPERM"}, attempt{"write and run", "", "EPERM"},
		attempt{"call", strconv.Itoa(unix.SYS_SETUID), "EPERM"}, attempt{"call", strconv.Itoa(unix.SYS_MEMFD_CREATE), "EPERM"},
		attempt{"call", "9999", "ENOSYS"},
	)
}
