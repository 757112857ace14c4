// Package link is what the ABIs share when they link a guest's imports: the letters in which the types of host functions are
// written, and how a call is shown in a trace.
package link

import (
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// The letters say a parameter's type and what it means; one table serves linking and tracing. An ABI adds letters of its own
// for the numbers it has names for. Small letters are 32 bits wide, and so are capital ones that are not in wide.
//
//	i I   a number
//	a     the address of a text; x, of a header map; q, of a property's path: NUL between its segments
//	n     the length of what the letter before says
//	o u   the address of a result of 32, or 64, bits
//	O N   the addresses of a result's address and of its length; X, of a header map's
//	B L   the address of room for a result, and its size
//	V E   results: how many texts, each with NUL behind it, and their length; whether it is the end, and the length
const wide = "IVE"

// ValueTypes reads types written one letter each.
func ValueTypes(letters string) []api.ValueType {
	types := make([]api.ValueType, 0, len(letters))
	for _, c := range letters {
		if strings.ContainsRune(wide, c) {
			types = append(types, api.ValueTypeI64)
		} else {
			types = append(types, api.ValueTypeI32)
		}
	}
	return types
}

// Signature is a function's type as error messages show it.
func Signature(params, results []api.ValueType) string {
	names := func(types []api.ValueType) string {
		out := make([]string, len(types))
		for k, t := range types {
			out[k] = api.ValueTypeName(t)
		}
		return "(" + strings.Join(out, ",") + ")"
	}
	return names(params) + "→" + names(results)
}
