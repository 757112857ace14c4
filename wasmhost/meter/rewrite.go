// Package meter rewrites a WebAssembly module so that its host can stop it: after a time, at a depth of calls, and in the
// middle of a bulk operation.
//
// The rewritten module does what the original does, and besides
//
//   - pays for what it executes from a global, the fuel, and calls the imported function edge.yield when the fuel is used
//     up. The host answers with more fuel, or ends the call by a panic;
//   - counts its nested calls down in a second global, the depth, and calls edge.yield with a negative number when it is
//     used up;
//   - fills, copies and initializes memory in pieces of bulkPiece bytes, each paid for;
//   - exports all its mutable globals, so that its state can be saved and put back.
//
// # What is paid for, and when
//
// Instructions have costs in units, about a CPU cycle each, more where they take longer (cost.go). A tick of fuel is
// unitsPerTick of them. Every path is paid: a loop's header pays for the longest way round back to it, a function's entry
// for the longest way out of it, and what is longer than maxPending units is cut by checks in between (pending.go). So
// the time between two calls of edge.yield is bounded whatever the guest is made of: Slice ticks are a tenth of a
// millisecond of usual code, and about 10 ms of code that was written to misuse the costs.
//
// # What is checked
//
// Rewrite takes bytes from anybody, and is meant to be the first to see them: it holds every count against the bytes that
// are there, where wazero 1.12 allocates what a count claims (a module of 1 KiB can end the process), and it leaves out
// the custom sections that an engine would parse. It also holds every index of a function, type, global, local and label
// against the original's, so that nothing that is added is within the guest's reach.
//
// # What is refused
//
// A module that is larger than the bounds of bounds.go, which are those within which compiling it is bounded too, that
// uses an instruction outside WebAssembly 2.0, or that uses names kept for the host: imports from the module "edge", and
// exports that begin with "edge.".
package meter

import (
	"errors"
	"fmt"
)

// ErrMalformed says that the input is no valid module. Types are not checked, which is left to the engine when it compiles
// the result.
var ErrMalformed = errors.New("the module is malformed")

// ErrUnsupported says that the input uses or is something that the rewriter refuses.
var ErrUnsupported = errors.New("the module is not supported")

// Names and numbers that the host and a rewritten module agree on.
const (
	// Module and Yield name the import that a rewritten module adds: (i32) → i32. The argument is below 0 where the depth
	// is used up, and the host must not return then. Otherwise the fuel is used up, and the result is the new fuel.
	Module = "edge"
	Yield  = "yield"

	// Fuel and Depth are the exported globals, mutable i32. The host sets Depth to the calls allowed before it calls the
	// module, also when it does so from within a host function. Fuel needs no setting.
	Fuel  = "edge.fuel"
	Depth = "edge.depth"

	// Slice is the fuel that a module starts with and that the host should give, in ticks. It must not give less.
	Slice = 32 << 10

	// StartDepth is the depth that a start function runs with.
	StartDepth = 512
)

// reserved is what no export of a guest may begin with.
const reserved = "edge."

// Info is what the host may want to know of a rewritten module.
type Info struct {
	Functions int      // of the guest's own
	Globals   []string // exports by which the guest's mutable globals can be read and set

	// What stands against saving and restoring an instance by its memory and globals alone.
	V128Globals  bool // a mutable global has 128 bits, which the host can set only half of
	ChangesTable bool // an instruction changes a table or drops an element segment
	DropsData    bool // an instruction drops a data segment
}

// Rewrite returns the metered form of a module. It reads each byte a bounded number of times and takes memory in
// proportion to the input. Errors are ErrMalformed or ErrUnsupported, with the reason.
func Rewrite(wasm []byte) (out []byte, info Info, err error) {
	m, err := parse(wasm)
	if err != nil {
		return nil, Info{}, err
	}
	if err := m.analyse(); err != nil {
		return nil, Info{}, err
	}
	out, err = m.encode(len(wasm))
	if err != nil {
		return nil, Info{}, err
	}
	info = m.info
	info.Functions = len(m.funcs)
	return out, info, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}
