package confine

import (
	"slices"

	"golang.org/x/sys/unix"
)

// verdict is what becomes of a system call: an action of seccomp(2).
type verdict uint32

const (
	allow   verdict = unix.SECCOMP_RET_ALLOW
	refuse          = unix.SECCOMP_RET_ERRNO | verdict(unix.EPERM)
	unknown         = unix.SECCOMP_RET_ERRNO | verdict(unix.ENOSYS)
	kill    verdict = unix.SECCOMP_RET_KILL_PROCESS
)

// test looks at the lower half of an argument: those of the tested system calls are ints to the kernel, which does not look at the
// upper half either.
type test struct {
	arg  int
	mask uint32
	is   uint32
	not  bool
}

// rule is about one system call.
type rule struct {
	call uintptr
	then verdict  // where a case holds, or there are none
	when [][]test // cases, of which one must hold with all its tests; else it is refused
}

// Where seccomp_data has what (seccomp(2)), in bytes.
const (
	callOffset = 0
	archOffset = 4
	argsOffset = 16
)

const (
	loadWord  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	andValue  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	jumpEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	jumpFrom  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	jump      = unix.BPF_JMP | unix.BPF_JA
	answer    = unix.BPF_RET | unix.BPF_K
)

func instruction(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

// stretch is a run of system calls with one code.
type stretch struct {
	from uint32
	code []unix.SockFilter
}

// assemble makes the program of a set of rules, for one architecture. What no rule is about is refused; from the number beyond on it is
// unknown, as it would be to the kernels that this list was written for: who tries something new then falls back to what was there
// before.
//
// The kernel runs the program once for each number when it is installed, and never again for those of which it sees that they are always
// allowed (since 5.11). So what is hot has rules without cases; the others are found by halving.
func assemble(arch uint32, rules []rule, beyond uint32) []unix.SockFilter {
	rules = slices.Clone(rules)
	slices.SortFunc(rules, func(a, b rule) int { return int(a.call) - int(b.call) })
	var all []stretch
	add := func(from uint32, code []unix.SockFilter) {
		if n := len(all); n > 0 && all[n-1].from == from {
			all = all[:n-1]
		}
		if n := len(all); n == 0 || !slices.Equal(all[n-1].code, code) {
			all = append(all, stretch{from, code})
		}
	}
	refused := []unix.SockFilter{instruction(answer, uint32(refuse))}
	add(0, refused)
	for _, r := range rules {
		add(uint32(r.call), r.code())
		add(uint32(r.call)+1, refused)
	}
	add(beyond, []unix.SockFilter{instruction(answer, uint32(unknown))})
	return append([]unix.SockFilter{
		instruction(loadWord, archOffset),
		{Code: jumpEqual, K: arch, Jt: 1},
		instruction(answer, uint32(kill)), // the calls of another architecture would have other numbers
		instruction(loadWord, callOffset),
	}, search(all)...)
}

// search finds the stretch that a number is in.
func search(all []stretch) []unix.SockFilter {
	if len(all) == 1 {
		return all[0].code
	}
	half := len(all) / 2
	below, from := search(all[:half]), search(all[half:])
	// A jump of a condition reaches 255 instructions, one without any.
	code := append([]unix.SockFilter{{Code: jumpFrom, K: all[half].from, Jf: 1}, instruction(jump, uint32(len(below)))}, below...)
	return append(code, from...)
}

// code is that of one rule, with the system call's number loaded.
func (r *rule) code() (list []unix.SockFilter) {
	if len(r.when) == 0 {
		return []unix.SockFilter{instruction(answer, uint32(r.then))}
	}
	for _, tests := range r.when {
		var one []unix.SockFilter
		for i := len(tests) - 1; i >= 0; i-- {
			t := tests[i]
			on, off := uint8(0), uint8(len(one)+1) // over the rest of this case
			if t.not {
				on, off = off, on
			}
			code := []unix.SockFilter{instruction(loadWord, argsOffset+8*uint32(t.arg))}
			if t.mask != ^uint32(0) {
				code = append(code, instruction(andValue, t.mask))
			}
			one = append(append(code, unix.SockFilter{Code: jumpEqual, K: t.is, Jt: on, Jf: off}), one...)
		}
		list = append(append(list, one...), instruction(answer, uint32(r.then)))
	}
	return append(list, instruction(answer, uint32(refuse)))
}
