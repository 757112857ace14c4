// Package greeter carries the greeter guest for whoever wants it without a file: the built-in welcome page.
package greeter

import _ "embed"

// Wasm is the module: a Proxy-Wasm 0.2.1 filter that puts its configured greeting into the response header x-greeting.
// Its configuration is {"greeting": "…"}.
//
//go:embed greeter.wasm
var Wasm []byte
