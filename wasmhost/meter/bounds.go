package meter

// Bounds of a module. They bound the time and memory of compiling it, and what an instance of it takes outside its linear
// memory, which the engine bounds.
const (
	MaxFunctions = 100_000
	MaxTypes     = 20_000
	MaxImports   = 1_000
	MaxGlobals   = 20_000
	MaxExports   = 20_000

	// MaxBodyBytes bounds the code of one function.
	MaxBodyBytes = 1 << 20

	// MaxLocals bounds the locals of one function, its parameters among them.
	MaxLocals = 10_000

	// MaxParams and MaxResults bound a function type.
	MaxParams  = 1_000
	MaxResults = 100

	// MaxTableElements bounds the elements of all tables together, and those of all element segments together: 8 bytes
	// each, in every instance. Tables that may grow beyond it are held below it.
	MaxTableElements = 1 << 20

	// MaxFunctionWork and MaxWork bound what a compiler does beyond going through the code: it handles every mutable
	// global and every result at each call, and may handle every local at each end of a block and in each loop around a
	// loop (8 KB of loops in loops took wazero 1.12 minutes). Each of these counts one:
	// about 2 µs where it is at its worst. Compiled Go has about 1 of it for 4 bytes; what has been seen to have most, a
	// C program of 800 KB, has 57,000 in one function.
	MaxFunctionWork = 1 << 20
	MaxWork         = 8 << 20
)
