package confine

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dropCaps takes from what the calling thread will exec every capability that is not kept. What the thread itself has it keeps: it is to
// start a child as another user.
//
// A program that root execs gets all of the bounding set; one that another user execs gets the ambient set, and, without no_new_privs, what
// its file has (capabilities(7)).
func dropCaps(keep uint64) error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return os.NewSyscallError("prctl(PR_CAP_AMBIENT)", err)
	}
	for c := range uintptr(64) {
		if keep&(1<<c) != 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) { // beyond the last that this kernel has
			break
		}
		if errors.Is(err, unix.EPERM) { // whoever is not root need not: no_new_privs keeps it from the bounding set
			break
		}
		if err != nil {
			return os.NewSyscallError("prctl(PR_CAPBSET_DROP)", err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // of version 3
	if err := unix.Capget(&header, &data[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	return os.NewSyscallError("capset", unix.Capset(&header, &data[0]))
}
