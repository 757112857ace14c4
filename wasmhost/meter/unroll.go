package meter

// Looking at the fuel is a large part of what a round of a short loop takes. Such a loop is unrolled: its header pays for
// several rounds in advance, and is passed once for them.
//
//	loop body end   becomes   block loop header  block body br 2 end  …  body  end end
//
// What would begin the next round leaves the block around the body, and so enters the next copy; the last copy's begins
// the loop again. What would leave the loop at its end leaves the outer block. A loop that ends early has paid for up to
// unrollUnits too much, which is a few ticks.
const (
	unrollUnits  = 128       // what the rounds paid for at once may cost
	unrollCopies = 4         // the most rounds paid for at once
	unrollBytes  = 256       // the largest body that is copied
	maxUnrolled  = 256 << 10 // bytes of copies in a module; further loops stay as they are
)

// unroll is a loop that is copied, and the branches in it that lead out of it.
type unroll struct {
	from, to int // the body, without the loop's end
	copies   int
	ticks    uint32 // of all copies
	jumps    []jump
}

// jump is the operand of a branch.
type jump struct {
	at, size int
	depth    uint32
}

// leaves notes a branch if it leads out of the innermost loop. Its operand is from at to the present place.
func (w *walk) leaves(at int, depth uint32) {
	if w.scan || len(w.loops) == 0 || !w.r.ok() {
		return
	}
	loop := w.loops[len(w.loops)-1]
	if w.r.at-w.labels[loop].body <= unrollBytes && int(depth) >= len(w.labels)-loop {
		w.jumps = append(w.jumps, jump{at, w.r.at - at, depth})
	}
}

// unroll makes the loop l, which has just ended, one that is copied, where that pays. Only loops are that have no edits in
// them, and so neither calls nor other loops.
func (w *walk) unroll(l *label) {
	f, end := w.f, w.r.at-1
	size := end - l.body
	if w.scan || !l.bare || l.met == 0 || len(f.edits) != l.edit+1 || size > unrollBytes {
		return
	}
	copies := min(unrollUnits/l.met, unrollCopies)
	if copies < 2 || w.m.unrolled+copies*size > maxUnrolled {
		return
	}
	w.m.unrolled += copies * size
	w.work += (copies - 1) * (w.work - l.work)
	f.edits[l.edit] = edit{at: l.start, skip: w.r.at - l.start, kind: editUnroll, arg: uint32(len(f.unrolls))}
	f.unrolls = append(f.unrolls, unroll{l.body, end, copies, ticks(copies * l.met), w.jumps[l.jumps:len(w.jumps):len(w.jumps)]})
}

func (a *assembler) unroll(f *function, u *unroll) {
	a.op(opBlock, blockVoid, opLoop, blockVoid).header(u.ticks)
	for range u.copies - 1 {
		a.op(opBlock, blockVoid).round(f, u, 2).index(opBr, 2).op(opEnd)
	}
	a.round(f, u, 1).op(opEnd, opEnd)
}

// round writes the body once. A branch out of the loop has that many more labels to pass than before.
func (a *assembler) round(f *function, u *unroll, more uint32) *assembler {
	at := u.from
	for _, j := range u.jumps {
		a.op(f.body[at:j.at]...)
		a.b = appendU(a.b, j.depth+more)
		at = j.at + j.size
	}
	return a.op(f.body[at:u.to]...)
}
