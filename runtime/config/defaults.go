package config

import "time"

// Bounds of the file itself.
const (
	MaxFileBytes   = 1 << 20  // of edge.toml
	MaxModuleBytes = 64 << 20 // of a Wasm module
	maxDepth       = 16       // tables and arrays within each other; parts of a dotted key
	maxName        = 64       // bytes of a name of the user's
	maxProblems    = 100      // told at once
	maxRoutes      = 10_000
	maxListen      = 64
)

// Bounds of values.
const (
	MaxPollers       = 8 // E1
	MaxWorkers       = 1024
	MaxConnections   = 10_000_000
	MaxHeaderBytes   = 1 << 20
	MaxHeaderCount   = 4096
	MaxKeepalive     = 65_536
	MaxRetries       = 10
	MaxServers       = 64 // of one upstream, as package upstream has it
	MaxWeight        = 1000
	MaxChain         = 32 // filters in one route, as package filters has it
	MaxIndex         = 8  // index names of one directory, as package files has it
	MaxFilterCPU     = 10 * time.Second
	MaxFilterMemory  = 1 << 30 // as package wasmhost has it
	MaxCallDepth     = 100_000
	MaxLanes         = 64   // as package wasmhost has it
	MaxInstances     = 1024 // as package wasmhost has it
	MaxFilterBody    = 1 << 30
	maxFileName      = 255 // NAME_MAX of Linux
	maxTimeout       = 24 * time.Hour
	minHeaderBytes   = 1 << 10
	minURIBytes      = 256
	minFilterMemory  = 64 << 10 // one Wasm page
	minFilterCPU     = 100 * time.Microsecond
	minWorkersAdvice = 4 // A4
)

// Defaults that more than one place needs to know; the rest stand where their keys are read.
const (
	defaultWorkers = 16 // P10: ThreadsPerChild

	// DefaultAdmin is server.admin where the file does not say; the path is relative to the file's directory.
	DefaultAdmin = "unix:edge.sock"
)
