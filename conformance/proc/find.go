package proc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Find looks a program up in PATH and in the sbin directories, where servers live on Debian.
func Find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", program)
}
