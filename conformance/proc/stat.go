package proc

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// RSS is the memory of a process in bytes, as the kernel counts it (VmRSS).
func RSS(pid int) (int64, error) { return statusKiB(pid, "VmRSS:") }

// PeakRSS is the most memory a process has had, in bytes (VmHWM).
func PeakRSS(pid int) (int64, error) { return statusKiB(pid, "VmHWM:") }

// ResetPeakRSS has PeakRSS begin anew from what a process has now. Only its owner may (proc(5), clear_refs).
func ResetPeakRSS(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

func statusKiB(pid int, key string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s for pid %d", key, pid)
}

// Descriptors is the number of files a process has open.
func Descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries), err
}

// clockTick is the length of a tick of /proc's CPU times in nanoseconds (USER_HZ is 100 on Linux).
const clockTick = 10_000_000

// CPUNanos is the processor time a process has used, user and system, in nanoseconds, to 10 ms.
func CPUNanos(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, after, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("no stat for pid %d", pid)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("no times for pid %d", pid)
	}
	return (user + system) * clockTick, nil
}

// Machine is a reading of the whole machine's counters.
type Machine struct {
	Total, Idle, Steal int64 // ticks since boot, all processors together
	Load               string
}

// ReadMachine reads /proc/stat and /proc/loadavg; what cannot be read stays zero.
func ReadMachine() (m Machine) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, f := range strings.Fields(line) {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			continue
		}
		m.Total += n
		switch i {
		case 4, 5: // idle, iowait
			m.Idle += n
		case 8:
			m.Steal += n
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	m.Load = strings.TrimSpace(string(load))
	return m
}

// GroupCPUNanos is the processor time that the living processes of a group, and the children of the one that leads it, have used
// themselves, in nanoseconds.
func GroupCPUNanos(group int) (int64, error) {
	list, err := processes(func(pid int) bool {
		pgid, err := syscall.Getpgid(pid)
		return err == nil && pgid == group || parent(pid) == group
	})
	var sum int64
	for _, pid := range list {
		if n, err := CPUNanos(pid); err == nil { // it may have ended meanwhile
			sum += n
		}
	}
	return sum, err
}

// Children are the living children of a process, the eldest first.
func Children(pid int) []int {
	list, _ := processes(func(child int) bool { return parent(child) == pid })
	slices.Sort(list)
	return list
}

// processes are those for which is says so.
func processes(is func(pid int) bool) (list []int, err error) {
	entries, err := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && is(pid) {
			list = append(list, pid)
		}
	}
	return list, err
}

// parent is the parent of a process, or 0 where there is none, or it has ended.
func parent(pid int) int {
	parent, _ := family(pid)
	return parent
}

// Alive says whether a process is there, and not only its end that nobody has asked for yet.
func Alive(pid int) bool {
	_, alive := family(pid)
	return alive
}

func family(pid int) (parent int, alive bool) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text), ") ")
	if fields := strings.Fields(after); len(fields) > 1 && fields[0] != "Z" {
		n, _ := strconv.Atoi(fields[1])
		return n, true
	}
	return 0, false
}
