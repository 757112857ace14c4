// Package wasm holds edge to what guests may expect of it, and to what it promises about guests that misbehave: black-box
// suites of the two ABIs against the binary, and of bad guests beside good ones. The guests are in guests/.
package wasm
