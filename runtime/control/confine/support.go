package confine

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Support is what this kernel, and whatever this process runs inside of, lets it do.
type Support struct {
	Landlock int  // version of the interface; 0: there is none
	Seccomp  bool // with the list of this architecture
}

// Probe looks.
func Probe() Support {
	kills := uint32(unix.SECCOMP_RET_KILL_PROCESS)
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&kills)))
	return Support{Landlock: landlockABI(), Seccomp: errno == 0 && arch != 0}
}

func landlockABI() int {
	abi, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(abi)
}

// abis are what the versions of Landlock's interface have brought that a fence is made of, with the Linux that came with it.
var abis = [...]struct {
	abi   int
	linux string
	what  string
}{
	{1, "5.13", "children can open every file that their user can"},
	{3, "6.2", "children can truncate files that they cannot write to"},
	{4, "6.7", "children can bind TCP ports"},
	{5, "6.10", "children can use ioctl on devices"},
	{6, "6.12", "children can send signals to other processes of their user, and connect to abstract unix sockets"},
}

// Missing tells in words what cannot be had: one text for each thing, none where nothing is missing.
func (s Support) Missing() (list []string) {
	for _, a := range abis {
		if s.Landlock < a.abi {
			list = append(list, fmt.Sprintf("no Landlock %d (Linux %s): %s", a.abi, a.linux, a.what))
		}
	}
	if !s.Seccomp {
		list = append(list, "no seccomp: children can make every system call that their user can")
	}
	return list
}
