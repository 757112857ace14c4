// Package link is what the ABIs share when they link a guest's imports.
package link

import (
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// ValueTypes reads types written one letter each: I is i64, any other letter i32.
func ValueTypes(letters string) []api.ValueType {
	types := make([]api.ValueType, 0, len(letters))
	for _, c := range letters {
		if c == 'I' {
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
