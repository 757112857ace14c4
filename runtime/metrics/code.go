package metrics

import "strconv"

// named are the ranges of status codes that have a label of their own: those that IANA lists, the unused ones between
// them, and 499, which servers log for a client that has gone. Any other is counted in its class, so that an origin
// cannot make series.
var named = [...][2]int{{100, 103}, {200, 208}, {226, 226}, {300, 308}, {400, 418}, {421, 431}, {451, 451}, {499, 499}, {500, 511}}

// classes are the slots that come before the named codes: no status at all or an impossible one, then 1xx to 9xx.
const classes = 10

// codeSlots is how many slots there are: the classes and the named codes.
const codeSlots = classes + 4 + 9 + 1 + 9 + 19 + 11 + 1 + 1 + 12

var slotOfCode, labelOfSlot = func() (slots [1000]uint8, labels [codeSlots]string) {
	labels[0] = "none"
	for class := 1; class < classes; class++ {
		labels[class] = strconv.Itoa(class) + "xx"
		for code := class * 100; code < class*100+100; code++ {
			slots[code] = uint8(class)
		}
	}
	next := classes
	for _, r := range named {
		for code := r[0]; code <= r[1]; code++ {
			slots[code] = uint8(next)
			labels[next] = strconv.Itoa(code)
			next++
		}
	}
	return slots, labels
}()

// codeSlot is the slot of a status.
func codeSlot(status int) uint8 {
	if uint(status) >= uint(len(slotOfCode)) {
		return 0
	}
	return slotOfCode[status]
}

// classOfSlot is the class that a slot counts in; 0 is none.
func classOfSlot(slot int) int {
	if slot < classes {
		return slot
	}
	return int(labelOfSlot[slot][0] - '0')
}
