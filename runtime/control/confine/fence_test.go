package confine

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// place is a directory tree for one test, that everybody may enter.
func place(t *testing.T) (root, cache, outside string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "confine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range [...]string{"", "root", "root/sub", "cache", "outside"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range [...]string{"root/sub/page", "cache/old", "outside/secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir + "/root", dir + "/cache", dir + "/outside"
}

// TestFiles: what the profile names can be read, the cache written, and nothing else, whoever the child is.
func TestFiles(t *testing.T) {
	needs(t, 3, false)
	root, cache, outside := place(t)
	f := fence(t, Profile{Read: []string{root}, Write: []string{cache}}, Options{Root: true})
	f.check(t, nil,
		attempt{"read", root + "/sub/page", "done"},
		attempt{"list", root, "done"},
		attempt{"write", root + "/sub/page", "EACCES"},
		attempt{"truncate", root + "/sub/page", "EPERM"}, // by name: none of a server's calls
		attempt{"remove", root + "/sub/page", "EACCES"},
		attempt{"mkdir", root + "/new", "EACCES"},
		attempt{"write", cache + "/new", "done"},
		attempt{"rename", cache + "/new", "done"},
		attempt{"remove", cache + "/old", "done"},
		attempt{"mkdir", cache + "/dir", "done"},
		attempt{"link", cache + "/link", "EPERM"}, // symlinkat is none of a server's calls
		attempt{"read", outside + "/secret", "EACCES"},
		attempt{"list", outside, "EACCES"},
		attempt{"write", outside + "/new", "EACCES"},
		attempt{"write", outside + "/secret", "EACCES"},
		attempt{"read", "/etc/shadow", "EACCES"},
		attempt{"read", "/etc/passwd", "EACCES"},
		attempt{"list", "/", "EACCES"},
		attempt{"read", "/proc/self/status", "done"},
		attempt{"read", "/etc/hosts", "done"},
		attempt{"write", "/dev/null", "done"},
		attempt{"write", "/proc/self/comm", "EACCES"},
	)
	if data, err := os.ReadFile(outside + "/secret"); err != nil || string(data) != "outside/secret" {
		t.Errorf("the secret is %q, %v", data, err)
	}
}

// TestOtherProcesses: what is outside the fence is neither signalled nor looked into, even by root, and the fence alone sees to it.
func TestOtherProcesses(t *testing.T) {
	needs(t, 6, false)
	me := strconv.Itoa(os.Getpid())
	f := fence(t, Profile{}, Options{Root: true})
	without := func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "EDGE_CONFINE_SECCOMP=off") }
	f.check(t, without, attempt{"signal", me, "EPERM"}, attempt{"ptrace", me, "EPERM"}, attempt{"look into", me, "EACCES"})
	f.check(t, nil, attempt{"signal", me, "EPERM"}, attempt{"look into", me, "EACCES"})
}

// TestTCPPorts: nobody inside listens.
func TestTCPPorts(t *testing.T) {
	needs(t, 4, true)
	f := fence(t, Profile{}, Options{})
	f.check(t, nil, attempt{"bind", "0", "done"}, attempt{"bind", "18765", "EACCES"}, attempt{"listen", "", "EPERM"})
}

// TestAbstractSockets: they are out of reach, unless the profile says otherwise.
func TestAbstractSockets(t *testing.T) {
	needs(t, 6, false)
	name := "edge-confine-" + strconv.Itoa(os.Getpid())
	l, err := net.Listen("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fence(t, Profile{}, Options{}).check(t, nil, attempt{"abstract", name, "EPERM"})
	fence(t, Profile{Abstract: true}, Options{}).check(t, nil, attempt{"abstract", name, "done"})
}

// TestPrograms: no other program is executed, and the fence alone sees to it; with seccomp not even its own.
func TestPrograms(t *testing.T) {
	needs(t, 1, true)
	sh, err := exec.LookPath("true")
	if err != nil {
		t.Skip(err)
	}
	f := fence(t, Profile{Read: []string{filepath.Dir(sh)}}, Options{Root: true})
	without := func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "EDGE_CONFINE_SECCOMP=off") }
	f.check(t, without, attempt{"exec", sh, "EACCES"})
	f.check(t, nil, attempt{"exec", sh, "SIGSYS"})
	f.check(t, nil, attempt{"exec", program, "SIGSYS"})
	f.check(t, nil, attempt{"fork", "", "EPERM"})
}

// TestEveryThread: nothing of a child is outside.
func TestEveryThread(t *testing.T) {
	needs(t, 1, true)
	c := fence(t, Profile{}, Options{Root: true}).start(t, nil, "threads")
	if lines := strings.Fields(c.out); len(lines) < 20 || strings.Contains(c.out, "false") {
		t.Errorf("the threads of a child: %q", c.out)
	}
}

// TestControlStaysFree: what a fence does is done to a thread that ends; every other is as it was.
func TestControlStaysFree(t *testing.T) {
	needs(t, 1, false)
	_, _, outside := place(t)
	f := fence(t, Profile{}, Options{})
	for range 5 {
		f.check(t, nil, attempt{"read", outside + "/secret", "EACCES"})
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if err == nil && strings.Contains(string(status), "NoNewPrivs:\t1\n") {
			t.Errorf("thread %s cannot gain privileges any more", task.Name())
		}
	}
	if _, err := os.ReadFile(outside + "/secret"); err != nil {
		t.Error(err)
	}
}

// TestPrivileges (P2): a child that is nobody has nothing of root left, and cannot get it back; one that stays root has what reading and
// writing takes.
func TestPrivileges(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start children as somebody else")
	}
	const nobody = 65534
	pipe := func(t *testing.T, o Options, change func(*exec.Cmd)) State {
		f := fence(t, Profile{}, o)
		cmd := exec.Command(program, "ready")
		cmd.Env = append(os.Environ(), roleVariable+"=work")
		hold, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		change(cmd)
		if err := f.Do(cmd.Start); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer hold.Close()
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		s, err := Look(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := pipe(t, Options{}, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{nobody}}}
	})
	if s.UID != nobody || s.GID != nobody || len(s.Groups) != 1 || s.Groups[0] != nobody {
		t.Errorf("nobody is %+v", s)
	}
	if s.Capabilities != 0 || s.Bounding != 0 || !s.NoNewPrivs || s.Seccomp != Probe().Seccomp {
		t.Errorf("nobody has %+v", s)
	}
	s = pipe(t, Options{Root: true}, func(*exec.Cmd) {})
	if s.UID != 0 || s.Capabilities&^rootCaps != 0 || s.Bounding&^rootCaps != 0 || !s.NoNewPrivs {
		t.Errorf("root has %+v", s)
	}
}

// TestOff: without Landlock the rest goes on.
func TestOff(t *testing.T) {
	_, _, outside := place(t)
	f := fence(t, Profile{}, Options{Off: true})
	f.check(t, nil, attempt{"read", outside + "/secret", "done"})
	if !f.Covers(Profile{Read: []string{"/etc/shadow"}}) {
		t.Error("there is nothing outside of no fence")
	}
}

// TestCovers: a profile is covered when all it names is inside, by what the names stand for now.
func TestCovers(t *testing.T) {
	needs(t, 1, false)
	root, cache, outside := place(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink(root+"/sub", outside+"/current"))
	must(os.WriteFile(outside+"/resolv.conf", nil, 0o644))
	p := Profile{Read: []string{root, outside + "/resolv.conf"}, Write: []string{cache}}.System()
	f, err := New(p, Options{})
	must(err)
	defer f.Close()
	for _, c := range []struct {
		name string
		next Profile
		want bool
	}{
		{"the same", p, true},
		{"less", Profile{}, true},
		{"a directory beneath", Profile{Read: []string{root + "/sub"}}, true},
		{"a file beneath", Profile{Read: []string{root + "/sub/page"}}, true},
		{"reading what may be written", Profile{Read: []string{cache}}, true},
		{"by a symbolic link", Profile{Read: []string{outside + "/current"}}, true},
		{"what does not exist", Profile{Read: []string{outside + "/none"}}, true},
		{"a directory outside", Profile{Read: []string{outside}}, false},
		{"a file outside", Profile{Read: []string{outside + "/secret"}}, false},
		{"the directory above", Profile{Read: []string{filepath.Dir(root)}}, false},
		{"a name that begins the same", Profile{Read: []string{root + "2"}}, true}, // there is none
		{"writing what may be read", Profile{Write: []string{root}}, false},
		{"another program", Profile{Exec: []string{"/bin/sh"}}, false},
		{"abstract sockets", Profile{Abstract: true}, Probe().Landlock < 6},
	} {
		if got := f.Covers(c.next); got != c.want {
			t.Errorf("%s: covered %t, want %t", c.name, got, c.want)
		}
	}
	must(os.Remove(outside + "/current"))
	must(os.Symlink(outside, outside+"/current"))
	if f.Covers(Profile{Read: []string{outside + "/current"}}) {
		t.Error("a link that leads elsewhere now is covered")
	}
	must(os.WriteFile(outside+"/new", nil, 0o644))
	must(os.Rename(outside+"/new", outside+"/resolv.conf"))
	if f.Covers(p) {
		t.Error("a file that another has taken the place of is covered")
	}
}

// TestHidden: other processes of the same user do not look into a child, and it leaves no core.
func TestHidden(t *testing.T) {
	c := fence(t, Profile{}, Options{Root: true}).start(t, nil, "work", "limits")
	if want := "core 0 dumpable 0 umask 77\n"; c.out != want {
		t.Errorf("the child has %q, want %q", c.out, want)
	}
}
