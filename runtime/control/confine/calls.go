//go:build amd64 || arm64

package confine

import "golang.org/x/sys/unix"

// free are the system calls that a server needs, whatever their arguments: those of Go's runtime, of packages os and net, of the engine,
// of wazero, and of libc's threads where it is linked.
var free = []uintptr{
	// files, which Landlock bounds
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_PREADV, unix.SYS_PWRITEV,
	unix.SYS_CLOSE, unix.SYS_CLOSE_RANGE, unix.SYS_LSEEK, unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_PIPE2,
	unix.SYS_FSTAT, unix.SYS_NEWFSTATAT, unix.SYS_STATX, unix.SYS_STATFS, unix.SYS_FSTATFS, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2,
	unix.SYS_READLINKAT, unix.SYS_GETDENTS64, unix.SYS_GETCWD, unix.SYS_FCNTL, unix.SYS_FLOCK, unix.SYS_FADVISE64,
	unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2,
	unix.SYS_UTIMENSAT, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_UMASK,
	unix.SYS_SENDFILE, unix.SYS_SPLICE, unix.SYS_COPY_FILE_RANGE,
	unix.SYS_INOTIFY_INIT1, unix.SYS_INOTIFY_ADD_WATCH, unix.SYS_INOTIFY_RM_WATCH,

	// events
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2, unix.SYS_PPOLL, unix.SYS_PSELECT6,
	unix.SYS_EVENTFD2,

	// sockets that there are
	unix.SYS_CONNECT, unix.SYS_ACCEPT, unix.SYS_ACCEPT4, unix.SYS_BIND, unix.SYS_SHUTDOWN, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
	unix.SYS_GETSOCKOPT, unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_RECVMSG, unix.SYS_SENDMMSG, unix.SYS_RECVMMSG,

	// memory
	unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_BRK, unix.SYS_MEMBARRIER,

	// threads and signals
	unix.SYS_FUTEX, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_SET_TID_ADDRESS, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPENDING, unix.SYS_RT_SIGTIMEDWAIT,
	unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETCPU,

	// clocks
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_NANOSLEEP, unix.SYS_GETTIMEOFDAY,
	unix.SYS_SETITIMER, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE,

	// what it is itself
	unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID, unix.SYS_GETPGID, unix.SYS_GETSID, unix.SYS_GETUID, unix.SYS_GETEUID,
	unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETGROUPS, unix.SYS_GETRESUID, unix.SYS_GETRESGID, unix.SYS_CAPGET, unix.SYS_GETRUSAGE,
	unix.SYS_GETRLIMIT, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_GETRANDOM,
}

// hostile are those that no server calls, and whoever has taken one over would: other programs, other processes, the kernel's inside,
// the large interfaces in which its faults are found. Whoever calls one ends there and then.
var hostile = []uintptr{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD,
	unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_CHROOT, unix.SYS_PIVOT_ROOT, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_MOVE_MOUNT,
	unix.SYS_OPEN_TREE, unix.SYS_OPEN_TREE_ATTR, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
}

// newest is the last system call that was known when the list was written. Numbers go on the same way on all architectures.
const newest = 471

func is(arg int, value uint32) test           { return test{arg: arg, mask: ^uint32(0), is: value} }
func isNot(arg int, value uint32) test        { return test{arg: arg, mask: ^uint32(0), is: value, not: true} }
func masked(arg int, mask, value uint32) test { return test{arg: arg, mask: mask, is: value} }

// oneOf are the cases that an argument has one of the values.
func oneOf(arg int, values ...uint32) (cases [][]test) {
	for _, v := range values {
		cases = append(cases, []test{is(arg, v)})
	}
	return cases
}

const (
	socketType  = 0xf                                                                                       // of socket(2)'s type, without its flags
	writeExec   = unix.PROT_WRITE | unix.PROT_EXEC                                                          // code is written, then sealed, then run
	threadFlags = unix.CLONE_THREAD | unix.CLONE_VM | unix.CLONE_SIGHAND | unix.CLONE_FS | unix.CLONE_FILES // a thread has them all
	spaceFlags  = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
		unix.CLONE_NEWCGROUP | unix.CLONE_PTRACE
)

// rulesFor are those of a process.
func rulesFor(pid int) (rules []rule) {
	for _, call := range append(free[:len(free):len(free)], freeHere...) {
		rules = append(rules, rule{call: call, then: allow})
	}
	for _, call := range append(hostile[:len(hostile):len(hostile)], hostileHere...) {
		rules = append(rules, rule{call: call, then: kill})
	}
	self := uint32(pid)
	when := func(call uintptr, cases ...[]test) { rules = append(rules, rule{call: call, then: allow, when: cases}) }

	// TCP and UDP, and what is local; nothing raw, nothing of the kernel's own (netlink, packet, vsock, AF_ALG, …).
	when(unix.SYS_SOCKET,
		[]test{is(0, unix.AF_INET), masked(1, socketType, unix.SOCK_STREAM)}, []test{is(0, unix.AF_INET), masked(1, socketType, unix.SOCK_DGRAM)},
		[]test{is(0, unix.AF_INET6), masked(1, socketType, unix.SOCK_STREAM)}, []test{is(0, unix.AF_INET6), masked(1, socketType, unix.SOCK_DGRAM)},
		[]test{is(0, unix.AF_UNIX)})
	when(unix.SYS_SOCKETPAIR, oneOf(0, unix.AF_UNIX)...)

	// No programs for the kernel to run on packets, and no other protocol on top of TCP.
	when(unix.SYS_SETSOCKOPT,
		[]test{is(1, unix.SOL_SOCKET), isNot(2, unix.SO_ATTACH_FILTER), isNot(2, unix.SO_ATTACH_BPF),
			isNot(2, unix.SO_ATTACH_REUSEPORT_CBPF), isNot(2, unix.SO_ATTACH_REUSEPORT_EBPF)},
		[]test{is(1, unix.IPPROTO_TCP), isNot(2, unix.TCP_ULP), isNot(2, unix.TCP_REPAIR)},
		[]test{is(1, unix.IPPROTO_IPV6), is(2, unix.IPV6_V6ONLY)},
		[]test{is(1, unix.IPPROTO_IP), is(2, unix.IP_TOS)},
		[]test{is(1, unix.IPPROTO_UDP)})

	// Memory is writable or executable.
	when(unix.SYS_MMAP, []test{{arg: 2, mask: writeExec, is: writeExec, not: true}})
	when(unix.SYS_MPROTECT, []test{{arg: 2, mask: writeExec, is: writeExec, not: true}})

	// Threads, and no processes. Of clone3 the flags cannot be seen, and everybody falls back to clone where it is not there.
	when(unix.SYS_CLONE, []test{masked(0, threadFlags|spaceFlags, threadFlags)})
	rules = append(rules, rule{call: unix.SYS_CLONE3, then: unknown})

	// Signals to itself.
	for _, call := range [...]uintptr{unix.SYS_KILL, unix.SYS_TGKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO} {
		when(call, []test{is(0, self)})
	}

	when(unix.SYS_PRLIMIT64, oneOf(0, 0, self)...)
	when(unix.SYS_PRCTL, oneOf(0, unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_VMA, unix.PR_GET_DUMPABLE, unix.PR_GET_SECCOMP,
		unix.PR_GET_NO_NEW_PRIVS, unix.PR_CAPBSET_READ)...)
	when(unix.SYS_IOCTL, oneOf(1, unix.TCGETS, unix.TIOCGWINSZ, unix.TIOCINQ, unix.TIOCOUTQ)...)
	return rules
}
