package main

import (
	"fmt"
	"os"
	"path/filepath"

	"edge/filters"
	"edge/runtime/config"
	"edge/runtime/control"
	"edge/wasmhost"
)

// cacheDir is where compiled modules are kept, or "" for nowhere. What [server] cache names counts first. For "auto" it is
// EDGE_CACHE, which may be "off"; the directory that systemd has made for the service (CacheDirectory=); the user's
// (XDG Base Directory Specification); or, for root without any of them, the system's.
func cacheDir(configured string, env func(string) string, root bool) string {
	if configured != "auto" {
		return configured
	}
	if dir := env("EDGE_CACHE"); dir == "off" {
		return ""
	} else if dir != "" {
		return dir
	}
	for _, c := range []struct{ variable, below string }{
		{"CACHE_DIRECTORY", "modules"}, // the directory itself may be open to others
		{"XDG_CACHE_HOME", "edge"},
		{"HOME", ".cache/edge"},
	} {
		if list := filepath.SplitList(env(c.variable)); len(list) > 0 && filepath.IsAbs(list[0]) {
			return filepath.Join(list[0], c.below)
		}
	}
	if root {
		return "/var/cache/edge"
	}
	return ""
}

// cacheOf is cacheDir for this process.
func cacheOf(cfg *config.Config) string {
	return cacheDir(cfg.Server.Cache, os.Getenv, os.Geteuid() == 0)
}

// cacheFor is where children keep compiled modules. Where they have other rights than this process it makes the directory for them, and
// for "auto" without a word from the environment it is one that only they use. One that cannot be made they will tell of.
func cacheFor(cfg *config.Config, c *control.Credential) string {
	dir := cacheOf(cfg)
	if c == nil || dir == "" {
		return dir
	}
	if env := os.Getenv; cfg.Server.Cache == "auto" && env("EDGE_CACHE") == "" && env("CACHE_DIRECTORY") == "" {
		dir = fmt.Sprintf("/var/cache/edge-%d", c.UID)
	}
	_ = os.MkdirAll(filepath.Dir(dir), 0o755)
	if os.Mkdir(dir, 0o700) == nil {
		_ = os.Chown(dir, int(c.UID), int(c.GID))
	}
	return dir
}

// newHost makes the host of a configuration's guests, which keeps compiled modules in a directory, or with "" nowhere. A cache that cannot
// be used is said so and left out: it costs time, and nothing else.
func newHost(
	dir string, log func(filter string, level filters.Level, text string), fault func(*wasmhost.Fault), units filters.Units,
) (*wasmhost.Host, error) {
	o := wasmhost.Options{Log: log, Fault: fault, Units: units, Version: version(), CacheDir: dir}
	host, err := wasmhost.New(o)
	if err != nil && o.CacheDir != "" {
		if log != nil {
			log("", filters.Warn, err.Error()+"; modules are compiled at every start")
		}
		o.CacheDir = ""
		host, err = wasmhost.New(o)
	}
	return host, err
}
