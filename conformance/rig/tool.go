package rig

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// toolLimit bounds the time that a tool may take to be downloaded and built.
const toolLimit = 3 * time.Minute

// Tool is the path of a program of Go that a suite needs: the one in PATH, or else one that is built, once, into the user's cache from the
// package at that version. The test skips, with the reason, where it can not be had, and in short mode where it has not been built.
func Tool(t testing.TB, name, pkg, version string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("%s is not installed, and there is no cache to build it in: %v", name, err)
	}
	dir := filepath.Join(cache, "edge-conformance", version)
	built := filepath.Join(dir, name)
	if _, err := os.Stat(built); err == nil {
		return built
	}
	if testing.Short() {
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), toolLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install", pkg+"@"+version)
	cmd.Dir = os.TempDir() // outside this module, whose go.mod it must not touch
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("%s is not installed, and can not be built: %v\n%s", name, err, out)
	}
	return built
}

// Program is the path of an installed program. The test skips, naming it, where it is not installed.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}
