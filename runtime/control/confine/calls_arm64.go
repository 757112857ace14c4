package confine

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_AARCH64

// freeHere are those of free that this architecture alone has.
var freeHere []uintptr

// hostileHere are those of hostile that this architecture alone has.
var hostileHere []uintptr
