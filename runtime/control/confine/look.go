package confine

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// State is what a process may do, as the kernel has it (proc_pid_status(5)).
type State struct {
	UID, GID     int   // effective
	Groups       []int // supplementary
	NoNewPrivs   bool
	Seccomp      bool   // system calls are filtered
	Capabilities uint64 // permitted, as bits
	Bounding     uint64 // that a program it could exec might get, as bits
}

// Look tells the state of a process. Of the threads it looks at the main one.
func Look(pid int) (s State, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return s, err
	}
	for in := bufio.NewScanner(bytes.NewReader(data)); in.Scan(); {
		key, value, _ := strings.Cut(in.Text(), ":")
		words := strings.Fields(value)
		switch {
		case key == "Uid" && len(words) > 1:
			s.UID, err = strconv.Atoi(words[1])
		case key == "Gid" && len(words) > 1:
			s.GID, err = strconv.Atoi(words[1])
		case key == "Groups":
			for _, w := range words {
				var g int
				if g, err = strconv.Atoi(w); err != nil {
					break
				}
				s.Groups = append(s.Groups, g)
			}
		case key == "NoNewPrivs" && len(words) > 0:
			s.NoNewPrivs = words[0] == "1"
		case key == "Seccomp" && len(words) > 0:
			s.Seccomp = words[0] == "2"
		case key == "CapPrm" && len(words) > 0:
			s.Capabilities, err = strconv.ParseUint(words[0], 16, 64)
		case key == "CapBnd" && len(words) > 0:
			s.Bounding, err = strconv.ParseUint(words[0], 16, 64)
		}
		if err != nil {
			return s, fmt.Errorf("/proc/%d/status: %s: %w", pid, key, err)
		}
	}
	return s, nil
}
