// Package lifecycle holds edge to what it promises of a guest's versions: black-box suites against the binary, in which modules
// change while requests pass through them.
package lifecycle
