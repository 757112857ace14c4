package confine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// roleVariable makes of the test binary a child: it does what the role says, confined, and prints what came of it.
const roleVariable = "EDGE_CONFINE_ROLE"

var roles = map[string]func(args []string){"try": try, "work": work, "threads": threads}

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	o := SelfOptions{Seccomp: os.Getenv("EDGE_CONFINE_SECCOMP") != "off", Hidden: true}
	if err := Self(o); err != nil {
		fmt.Println("self:", err)
		os.Exit(1)
	}
	roles[role](os.Args[1:])
	os.Exit(0)
}

// needs skips a test on a kernel that lacks what it is about.
func needs(t *testing.T, landlock int, seccomp bool) {
	t.Helper()
	if s := Probe(); s.Landlock < landlock || seccomp && !s.Seccomp {
		t.Skipf("this kernel has %+v", s)
	}
}

type child struct {
	out    string
	status syscall.WaitStatus
}

// start runs a role inside a fence; change, or nil, may change its command.
func (f *Fence) start(t *testing.T, change func(*exec.Cmd), role string, args ...string) child {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stdout, cmd.Stderr = &out, &out
	if change != nil {
		change(cmd)
	}
	if err := f.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return child{out.String(), cmd.ProcessState.Sys().(syscall.WaitStatus)}
}

func fence(t *testing.T, p Profile, o Options) *Fence {
	t.Helper()
	f, err := New(p.System(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// attempts are what whoever has taken a child over might try.
var attempts = map[string]func(arg string) error{
	"read": func(path string) error {
		f, err := os.Open(path)
		if err == nil {
			f.Close()
		}
		return err
	},
	"list":     func(path string) error { _, err := os.ReadDir(path); return err },
	"write":    func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
	"truncate": func(path string) error { return os.Truncate(path, 0) },
	"remove":   os.Remove,
	"mkdir":    func(path string) error { return os.Mkdir(path, 0o700) },
	"rename":   func(path string) error { return os.Rename(path, path+"2") },
	"link":     func(path string) error { return os.Symlink("/etc/passwd", path) },
	"exec":     func(path string) error { return syscall.Exec(path, []string{path}, nil) },
	"fork": func(string) error {
		_, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		return none(errno)
	},
	"signal": func(pid string) error { return unix.Kill(number(pid), 0) },
	"ptrace": func(pid string) error { return unix.PtraceAttach(number(pid)) },
	"look into": func(pid string) error {
		_, err := os.ReadFile("/proc/" + pid + "/environ")
		return err
	},
	"socket": func(family string) error {
		kinds := map[string][3]int{
			"raw": {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, "raw6": {unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6},
			"packet": {unix.AF_PACKET, unix.SOCK_RAW, 0}, "netlink": {unix.AF_NETLINK, unix.SOCK_RAW, 0}, "alg": {unix.AF_ALG, unix.SOCK_SEQPACKET, 0},
			"vsock": {unix.AF_VSOCK, unix.SOCK_STREAM, 0}, "tcp": {unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, 0},
			"udp6": {unix.AF_INET6, unix.SOCK_DGRAM, 0}, "unix": {unix.AF_UNIX, unix.SOCK_STREAM, 0},
		}
		k := kinds[family]
		_, err := unix.Socket(k[0], k[1], k[2])
		return err
	},
	"bind": func(port string) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Port: number(port), Addr: [4]byte{127, 0, 0, 1}})
	},
	"listen": func(string) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		return unix.Listen(fd, 1)
	},
	"abstract": func(name string) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		return unix.Connect(fd, &unix.SockaddrUnix{Name: "@" + name})
	},
	"packet program": func(string) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		one := unix.SockFilter{Code: answer}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &one})
	},
	"write and run": func(string) error {
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
		return err
	},
	"call": func(nr string) error {
		_, _, errno := unix.RawSyscall6(uintptr(number(nr)), 0, 0, 0, 0, 0, 0)
		return none(errno)
	},
}

func none(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

// try makes one attempt for each two arguments, and prints the errors.
func try(args []string) {
	for i := 0; i+1 < len(args); i += 2 {
		err := attempts[args[i]](args[i+1])
		var errno syscall.Errno
		switch {
		case err == nil:
			fmt.Println("done")
		case errors.As(err, &errno):
			fmt.Println(unix.ErrnoName(errno))
		default:
			fmt.Println(err)
		}
	}
}

// attempt is what is tried and what is to come of it: "done", an error's name, or "SIGSYS", which must be the last.
type attempt struct{ what, arg, want string }

func (f *Fence) check(t *testing.T, change func(*exec.Cmd), list ...attempt) {
	t.Helper()
	var args []string
	for _, a := range list {
		args = append(args, a.what, a.arg)
	}
	c := f.start(t, change, "try", args...)
	got := strings.Split(strings.TrimSuffix(c.out, "\n"), "\n")
	if c.status.Signaled() {
		if c.out == "" {
			got = nil
		}
		got = append(got, unix.SignalName(c.status.Signal()))
	}
	for i, a := range list {
		switch {
		case i >= len(got):
			t.Errorf("%s %s: nothing came of it", a.what, a.arg)
		case got[i] != a.want:
			t.Errorf("%s %s: %s, want %s", a.what, a.arg, got[i], a.want)
		}
	}
	if t.Failed() {
		t.Logf("the child: %q, status %v", c.out, c.status)
	}
}

// threads has many threads of its own try what they must not, and shows what the kernel says of each.
func threads([]string) {
	const n = 16
	errs, held := make(chan error, n), make(chan struct{})
	for range n {
		go func() {
			_, _, errno := unix.Syscall6(unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW, 0, 0, 0, 0)
			_, err := os.ReadFile("/etc/passwd")
			errs <- errors.Join(none(errno), err)
			<-held
		}()
	}
	for range n {
		err := <-errs
		fmt.Println(errors.Is(err, unix.EPERM) && errors.Is(err, unix.EACCES))
	}
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		status, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		fmt.Println(strings.Contains(string(status), "Seccomp:\t2\n") && strings.Contains(string(status), "NoNewPrivs:\t1\n"))
	}
}
