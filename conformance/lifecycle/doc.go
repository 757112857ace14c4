// Package lifecycle holds edge to what it promises of versions, of guests and of the configuration: black-box suites against the
// binary, in which both change while requests pass through them.
package lifecycle
