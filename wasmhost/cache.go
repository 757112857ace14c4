package wasmhost

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero"
)

// Bounds of the cache on disk. What was used last stays; the rest goes until both hold again.
const (
	MaxCacheBytes   = 512 << 20 // of compiled code, with its seals
	MaxCacheEntries = 1024      // modules
)

// cache keeps compiled code on disk between runs. wazero writes and reads the code; its files have a checksum over the code
// alone, none over the table that says where functions begin, and it takes a damaged one for a failure to compile. So every
// module has a directory of its own, which becomes visible only when it is whole and sealed with the digest of each file,
// and which is read only where the seal holds:
//
//	DIR/KEY/seal                        digests, sizes and names of the files below
//	DIR/KEY/wazero-…/…                  wazero's
//	DIR/new-…                           being made, or left by a process that was killed
//
// The seal finds bit rot and half-written files. Who may write to the directory can write a seal too: secureDir keeps others out.
//
// KEY covers the module as it is compiled, that is, as rewritten by package meter: another rewriter is another key. Several
// processes may use one directory; a process holds no lock on it, and whatever goes wrong with it costs a compilation.
type cache struct {
	dir     string
	version string // of the program: part of the key
	bytes   int64  // MaxCacheBytes, or less in tests
	entries int    // MaxCacheEntries, or less in tests
	now     func() time.Time
	stats   cacheCounters
}

type cacheCounters struct{ hits, misses, damaged, failed, evicted atomic.Uint64 }

// CacheStats count what the cache of compiled modules has done.
type CacheStats struct {
	Hits    uint64 // modules that needed no compiling
	Misses  uint64 // modules compiled and kept
	Damaged uint64 // entries thrown away because they were not as they had been written
	Failed  uint64 // modules compiled and not kept, because the directory could not be used
	Evicted uint64 // entries removed to make room
}

// CacheStats reads the figures; all are 0 where there is no cache.
func (h *Host) CacheStats() CacheStats {
	if h.cache == nil {
		return CacheStats{}
	}
	c := &h.cache.stats
	return CacheStats{c.hits.Load(), c.misses.Load(), c.damaged.Load(), c.failed.Load(), c.evicted.Load()}
}

func openCache(dir, version string, now func() time.Time) (*cache, error) {
	if err := secureDir(dir); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	return &cache{dir: dir, version: version, bytes: MaxCacheBytes, entries: MaxCacheEntries, now: now}, err
}

// cacheFormat is part of the key: what is in an entry, and how.
const cacheFormat = "edge compiled module 1"

// key names the entry of a module as it is compiled. wazero adds its own version and the processor's features.
func (c *cache) key(wasm []byte, pages int) string {
	h := sha256.New()
	for _, part := range []string{cacheFormat, c.version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(pages)))
	h.Write(wasm)
	return hex.EncodeToString(h.Sum(nil))
}

// compile has build compile a module, with wazero's cache in the module's entry. cached says that the code was there. Where
// the directory is the trouble, build is called once more, with nil; trouble is what it was, or nil.
func (c *cache) compile(wasm []byte, pages int, build func(wazero.CompilationCache) error) (cached bool, trouble, err error) {
	key := c.key(wasm, pages)
	if entry := filepath.Join(c.dir, key); c.whole(entry) {
		if err = within(entry, build); err == nil {
			c.stats.hits.Add(1)
			now := c.now()
			_ = os.Chtimes(filepath.Join(entry, sealFile), now, now) // the last use, for evict
			return true, nil, nil
		}
		if isTrouble(err) {
			_ = os.RemoveAll(entry)
			c.stats.failed.Add(1)
			return false, err, build(nil)
		}
		return false, nil, err
	}
	stage, trouble := os.MkdirTemp(c.dir, stagePrefix)
	if trouble == nil {
		defer os.RemoveAll(stage)
		switch err = within(stage, build); {
		case err == nil:
			if trouble = c.keep(stage, key); trouble == nil {
				c.stats.misses.Add(1)
				return false, nil, nil
			}
			c.stats.failed.Add(1)
			return false, trouble, nil
		case !isTrouble(err):
			return false, nil, err
		}
		trouble = err
	}
	c.stats.failed.Add(1)
	return false, trouble, build(nil)
}

// opening has one cache opened at a time: wazero 1.12 finds its own version out, the first time, without a lock.
var opening sync.Mutex

// within has wazero's cache be in a directory.
func within(dir string, build func(wazero.CompilationCache) error) error {
	opening.Lock()
	disk, err := wazero.NewCompilationCacheWithDir(dir)
	opening.Unlock()
	if err != nil {
		return &fs.PathError{Op: "use", Path: dir, Err: err}
	}
	return build(disk)
}

// isTrouble tells the cache's failures from the module's: errors of files, and those of wazero's reader, which has no type for them.
func isTrouble(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	var errno syscall.Errno
	return errors.As(err, &path) || errors.As(err, &link) || errors.As(err, &errno) || strings.Contains(err.Error(), "compilationcache: ")
}

// keep seals what has been made and shows it to everybody. Where another process has been faster, its entry stays.
func (c *cache) keep(stage, key string) error {
	lines, err := contents(stage)
	if err != nil {
		return err
	}
	seal := filepath.Join(stage, sealFile)
	if err := os.WriteFile(seal, lines, 0o600); err != nil {
		return err
	}
	now := c.now()
	if err := os.Chtimes(seal, now, now); err != nil {
		return err
	}
	entry := filepath.Join(c.dir, key)
	if err := os.Rename(stage, entry); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	c.evict(key)
	return nil
}
