package wasmhost

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// secureDir makes the cache directory, or checks that nobody else can write or read the one that is there.
func secureDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the cache of compiled modules: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("the cache of compiled modules: %w", err)
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		err = errors.New("it is not a directory")
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("its mode is %04o; code is run from it, so it must be 0700", info.Mode().Perm())
	case !known || int(owner.Uid) != os.Geteuid():
		err = errors.New("it belongs to another user")
	}
	if err != nil {
		return fmt.Errorf("the cache of compiled modules, %s: %w", dir, err)
	}
	return nil
}
