package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Suites load the machine with thousands of connections and measure what that does, and go test runs as many packages at a time as there
// are processors: beside each other they would measure each other. So suites take turns, also those of another working tree: on
// every two processors there is one.

// turnLook is how often a suite that waits looks whether it is its turn.
const turnLook = 100 * time.Millisecond

// turns is how many suites may run at a time.
func turns() int { return max(1, runtime.NumCPU()/2) }

// takeTurn waits until fewer than so many suites run that know each other by their files in dir. The turn ends with the process, or with done.
func takeTurn(dir string, most int) (done func(), err error) {
	for {
		for i := range most {
			path := filepath.Join(dir, fmt.Sprintf("edge-suites-%d-%d.lock", os.Getuid(), i))
			f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
			if err != nil {
				return nil, err
			}
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
			if err == nil {
				return func() { f.Close() }, nil
			}
			f.Close()
			if !errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, err
			}
		}
		time.Sleep(turnLook)
	}
}
