package meter

// Opcodes that the rewriter handles or emits. Prefixed ones have the number that follows their prefix.
const (
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelect       = 0x1b
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opFirstLoad    = 0x28
	opFirstStore   = 0x36
	opLastStore    = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opFirstPlain   = 0x45 // from here to opLastPlain: no immediates
	opI32LtS       = 0x48
	opI32GtU       = 0x4b
	opI32LeU       = 0x4d
	opI64GtU       = 0x56
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32Or        = 0x72
	opI32ShrU      = 0x76
	opI64Add       = 0x7c
	opI64Shl       = 0x86
	opI64ExtendU   = 0xad
	opLastPlain    = 0xc4
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd

	miscLastTrunc  = 7
	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17

	vecStore     = 11 // from 0 to here: a memory argument
	vecConst     = 12
	vecShuffle   = 13
	vecFirstLane = 21 // to vecLastLane: a lane
	vecLastLane  = 34
	vecFirstMem  = 84 // to vecLastMem: a memory argument and a lane
	vecLastMem   = 91
	vecLoadZero  = 92 // and the next: a memory argument

	blockVoid = 0x40
)

// Costs, in units. One unit is about a cycle. A load that misses every cache takes a hundred times what it costs, so the
// bound on a slice is that of loads: unitsPerTick/costLoad of them a tick, at 80 ns each.
const (
	unitsPerTick = 16

	costPlain    = 1 // and of each value that a branch or a call carries
	costLoad     = 4
	costStore    = 3
	costDivide   = 3
	costVector   = 2
	costCall     = 2
	costIndirect = 6
	costTable    = 3
	costGrow     = 256

	// maxPending is how many units may be executed before they are paid for; leafUnits is up to what cost a function
	// without calls and loops is paid for by its callers.
	maxPending = 512
	leafUnits  = 64
	leafBytes  = 256
)

// Ticks that are paid whatever the fuel.
const (
	// hostCallTicks is the price of calling an import. A host call may take a millisecond, and the clock is looked at
	// after Slice/hostCallTicks of them.
	hostCallTicks = Slice / 8

	bulkPiece    = 64 << 10 // bytes
	bulkShift    = 6        // a tick for 64 bytes
	elementShift = 4        // a tick for 16 elements
)

// plainCost is the cost of an instruction without immediates.
func plainCost(op byte) int {
	switch op {
	case 0x6d, 0x6e, 0x6f, 0x70, 0x7f, 0x80, 0x81, 0x82, 0x91, 0x95, 0x9f, 0xa3: // division, remainder, square root
		return costDivide
	}
	return costPlain
}

func ticks(units int) uint32 { return uint32((units + unitsPerTick - 1) / unitsPerTick) }
