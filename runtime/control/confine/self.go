package confine

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SelfOptions say what a child does to itself.
type SelfOptions struct {
	Seccomp bool // it calls what a server calls, and nothing else

	// Hidden keeps other processes of the same user from looking into it: its memory has keys in it, and a user like nobody runs more than
	// one program. The price is that none of the user's debuggers may either.
	Hidden bool
}

// umask of a child: what it makes, compiled modules, is nobody else's.
const umask = 0o077

// Self is what a child does to itself before anything else. It makes no core dumps, which would have its keys and its clients' data in them.
// The error says what could not be done, and the rest has been.
func Self(o SelfOptions) error {
	unix.Umask(umask)
	var errs []error
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		errs = append(errs, os.NewSyscallError("setrlimit(RLIMIT_CORE)", err))
	}
	if o.Hidden {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			errs = append(errs, os.NewSyscallError("prctl(PR_SET_DUMPABLE)", err))
		}
	}
	if o.Seccomp && arch != 0 {
		errs = append(errs, filter())
	}
	return errors.Join(errs...)
}

// filter bounds the system calls of all threads, for good.
func filter() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil { // of the thread; seccomp sets it for the others
		return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", err)
	}
	code := assemble(arch, rulesFor(os.Getpid()), newest+1)
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	late, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	if late != 0 {
		return fmt.Errorf("seccomp: thread %d has a filter of its own", late)
	}
	return nil
}
