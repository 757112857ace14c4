package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// freezeLimit bounds the wait for a process's threads to stop.
const freezeLimit = 10 * time.Second

// Freeze stops a process (SIGSTOP) and returns when none of its threads runs any more: what it holds stays as it is.
func Freeze(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for end := time.Now().Add(freezeLimit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			return fmt.Errorf("process %d has no threads: %w", pid, os.ErrProcessDone)
		}
		running := false
		for _, path := range threads {
			text, _ := os.ReadFile(path)
			_, after, _ := strings.Cut(string(text), ") ")
			running = running || !strings.HasPrefix(after, "T")
		}
		if !running {
			return nil
		}
	}
	return fmt.Errorf("process %d has not stopped: %w", pid, ErrTimeout)
}

// PeerPorts are the ports of those at the other ends of the TCP connections (IPv4) that a process has.
func PeerPorts(pid int) (map[int]bool, error) {
	own := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil, err
	}
	for _, fd := range fds {
		name, _ := os.Readlink(fd)
		if inode, ok := strings.CutPrefix(name, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return nil, err
	}
	ports := map[int]bool{}
	for line := range strings.Lines(string(table)) {
		const remote, inode = 2, 9 // columns
		fields := strings.Fields(line)
		if len(fields) <= inode || !own[fields[inode]] {
			continue
		}
		_, hex, _ := strings.Cut(fields[remote], ":")
		if port, err := strconv.ParseUint(hex, 16, 16); err == nil && port != 0 {
			ports[int(port)] = true
		}
	}
	return ports, nil
}
