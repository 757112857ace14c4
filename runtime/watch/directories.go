package watch

import (
	"os"
	"path/filepath"
	"strings"
)

// maxLinks is how many symbolic links a path may go through, as in the kernel (path_resolution(7)).
const maxLinks = 40

// directories are those that hold the file a path leads to and every symbolic link on the way: what changes the path's meaning
// happens in one of them. Where the way ends early, they are those as far as it goes.
func directories(path string) (dirs []string) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	at, rest, links := "/", strings.Split(path[1:], "/"), 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		next := filepath.Join(at, part)
		info, err := os.Lstat(next)
		if err != nil {
			return append(dirs, at)
		}
		if info.Mode()&os.ModeSymlink == 0 {
			if len(rest) == 0 {
				return append(dirs, at)
			}
			at = next
			continue
		}
		dirs = append(dirs, at)
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return dirs
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return dirs
}
