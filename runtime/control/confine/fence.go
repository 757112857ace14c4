package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The rights of Landlock (landlock(7)), by what they are good for.
const (
	readRights  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	execRights  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE
	writeRights = readRights | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_REFER |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR
	nullRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE // of /dev/null

	// fileRights are those that a file can have that is not a directory.
	fileRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// handled is what a kernel's Landlock can take away, by the version of its interface.
func handled(abi int) (attr unix.LandlockRulesetAttr) {
	attr.Handled_access_fs = 1<<13 - 1
	if abi >= 2 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 4 {
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP
	}
	if abi >= 5 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_SIGNAL | unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
	return attr
}

// netRule is struct landlock_net_port_attr of the kernel.
type netRule struct{ access, port uint64 }

const ruleNetPort = 2 // LANDLOCK_RULE_NET_PORT

// file identifies a file while something holds it.
type file struct{ dev, ino uint64 }

// Fence is what children are started inside of. It does not change, and may be used by several goroutines at once; Do must not be called
// after Close.
type Fence struct {
	ruleset  int // descriptor; -1: no Landlock
	close    sync.Once
	handled  unix.LandlockRulesetAttr
	given    map[file]uint64 // rights. The ruleset holds the files, so that no other can have their numbers
	abstract bool
	keep     uint64 // capabilities, as bits
}

// Capabilities (capabilities(7)) of a child that stays root: to read and write what belongs to others, as an operator who starts it as
// root expects. Nothing else of what root can do has a use: sockets are bound, and files with secrets opened, by the control process.
const rootCaps = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH

// Options are those of a fence.
type Options struct {
	Off  bool // no Landlock; capabilities and no_new_privs go all the same
	Root bool // the children stay root
}

// New makes a fence. Where the kernel has no Landlock, it has none, and no error either: see [Probe].
func New(p Profile, o Options) (*Fence, error) {
	f := &Fence{ruleset: -1, given: map[file]uint64{}, abstract: p.Abstract}
	if o.Root {
		f.keep = rootCaps
	}
	abi := landlockABI()
	if o.Off || abi == 0 {
		return f, nil
	}
	f.handled = handled(abi)
	if p.Abstract {
		f.handled.Scoped &^= unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&f.handled)), unsafe.Sizeof(f.handled), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("landlock_create_ruleset", errno)
	}
	f.ruleset = int(fd)
	unix.CloseOnExec(f.ruleset)
	if err := f.giveAll(p); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Fence) giveAll(p Profile) error {
	for path, rights := range p.all {
		if err := f.give(path, rights); err != nil {
			return fmt.Errorf("a child cannot be given %s: %w", path, err)
		}
	}
	if f.handled.Handled_access_net != 0 {
		// Port 0 is any that is free: package net binds to it to learn whether there is IPv6. To listen there takes another system call.
		rule := netRule{access: f.handled.Handled_access_net}
		_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(f.ruleset), ruleNetPort, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
		if errno != 0 {
			return os.NewSyscallError("landlock_add_rule", errno)
		}
	}
	return nil
}

// all are the paths of a profile with their rights.
func (p Profile) all(yield func(path string, rights uint64) bool) {
	for _, list := range [...]struct {
		paths  []string
		rights uint64
	}{{p.Read, readRights}, {p.Write, writeRights}, {p.Exec, execRights}} {
		for _, path := range list.paths {
			rights := list.rights
			if path == os.DevNull {
				rights = nullRights
			}
			if !yield(path, rights) {
				return
			}
		}
	}
}

// give adds a path to the ruleset, unless there is none.
func (f *Fence) give(path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	rights &= f.handled.Handled_access_fs
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(f.ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("landlock_add_rule", errno)
	}
	f.given[file{st.Dev, st.Ino}] |= rights
	return nil
}

func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ELOOP)
}

// Covers says whether children inside the fence reach everything that another profile names, as the file system is now: a directory that
// another has taken the place of since, or a file that was replaced, is not covered, since Landlock knows files and not names. What
// does not exist is.
func (f *Fence) Covers(next Profile) bool {
	if f.ruleset < 0 {
		return true
	}
	if next.Abstract && f.handled.Scoped&unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET != 0 {
		return false
	}
	for path, rights := range next.all {
		if !f.covers(path, rights) {
			return false
		}
	}
	return true
}

func (f *Fence) covers(path string, rights uint64) bool {
	resolved, err := filepath.Abs(path)
	if err == nil {
		resolved, err = filepath.EvalSymlinks(resolved)
	}
	if err != nil {
		return true
	}
	rights &= f.handled.Handled_access_fs
	for at := resolved; ; at = filepath.Dir(at) {
		var st unix.Stat_t
		if err := unix.Stat(at, &st); err != nil {
			return gone(err)
		}
		if at == resolved && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			rights &= fileRights
		}
		if rights &^= f.given[file{st.Dev, st.Ino}]; rights == 0 {
			return true
		}
		if at == "/" {
			return false
		}
	}
}

// Close gives the fence up. Children that were started inside of it stay there.
func (f *Fence) Close() {
	if f.ruleset >= 0 {
		f.close.Do(func() { unix.Close(f.ruleset) })
	}
}

// Do runs start on a thread inside the fence, which ends with it. The processes that start begins are inside too, from their first
// instruction on, and so is what they begin. An error of Do that is not one of start is that the thread could not be confined.
func (f *Fence) Do(start func() error) error {
	ended := make(chan error)
	go f.on(ended, start)
	return <-ended
}

func (f *Fence) on(ended chan<- error, start func() error) {
	// The thread is never unlocked: it ends with the goroutine, since nobody else may get it (runtime.LockOSThread). No other is made
	// from it either: of a locked thread the runtime leaves that to one that is as it was.
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread does not end, and stands for the process where others look at it. While it is held here, another runs Do.
		defer runtime.UnlockOSThread()
		ended <- f.Do(start)
		return
	}
	err := f.enter()
	if err == nil {
		err = start()
	}
	ended <- err
}

// enter confines the thread that calls it.
func (f *Fence) enter() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", err)
	}
	if err := dropCaps(f.keep); err != nil {
		return err
	}
	if f.ruleset < 0 {
		return nil
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(f.ruleset), 0, 0); errno != 0 {
		return os.NewSyscallError("landlock_restrict_self", errno)
	}
	return nil
}
