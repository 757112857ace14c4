package wasmhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// secureDir makes the cache directory, or checks that nobody else can write or read the one that is there, nor put another
// in its place: code is run from it.
func secureDir(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("the cache of compiled modules: %w", err)
	}
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
	default:
		err = safeAbove(dir)
	}
	if err != nil {
		return fmt.Errorf("the cache of compiled modules, %s: %w", dir, err)
	}
	return nil
}

// safeAbove refuses a directory in which everybody may rename what is not theirs (it is writable and not sticky), and so
// put another in the cache's place.
func safeAbove(dir string) error {
	dir, err := filepath.EvalSymlinks(filepath.Dir(dir))
	if err != nil {
		return err
	}
	for {
		info, err := os.Lstat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
			return fmt.Errorf("everybody may write to %s above it", dir)
		}
		up := filepath.Dir(dir)
		if up == dir {
			return nil
		}
		dir = up
	}
}
