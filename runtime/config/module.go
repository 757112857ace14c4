package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// The first eight bytes of a module (WebAssembly core specification, section 5.5.16) and of a component (the component
// model's binary format: the same magic, version 13, layer 1).
var (
	moduleStart    = []byte("\x00asm\x01\x00\x00\x00")
	componentStart = []byte("\x00asm\x0d\x00\x01\x00")
)

// checkModule checks that the file is there, is a module, and is the one that was meant. Whether it can run is for whoever
// compiles it.
func checkModule(t *section, f *Filter) {
	wasm, err := ReadModule(f.Module)
	switch {
	case err != nil:
		t.bad("module", "", "%s: %v", f.Module, err)
		return
	case bytes.HasPrefix(wasm, componentStart):
		t.bad("module", "build it as a core module (target wasm32-wasip1, not wasip2)", "%s is a component, not a module", f.Module)
		return
	case bytes.HasPrefix(wasm, moduleStart):
	case bytes.HasPrefix(wasm, moduleStart[:4]):
		t.bad("module", "", "%s has a version of the Wasm format that is not known here", f.Module)
		return
	default:
		t.bad("module", "give the .wasm file that the compiler made", "%s is not WebAssembly", f.Module)
		return
	}
	if sum := sha256.Sum256(wasm); f.SHA256 != "" && f.SHA256 != hex.EncodeToString(sum[:]) {
		t.bad("sha256", "restore the module, or pin the new one", "%s has SHA-256 %x", f.Module, sum)
	}
}

// ReadModule reads the file of a module: a regular one, of at most MaxModuleBytes.
func ReadModule(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, plainPathError(err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("not a regular file")
	case info.Size() > MaxModuleBytes:
		return nil, fmt.Errorf("larger than %v", Size(MaxModuleBytes))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer file.Close()
	wasm, err := io.ReadAll(io.LimitReader(file, MaxModuleBytes))
	return wasm, plainPathError(err)
}
