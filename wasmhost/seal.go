package wasmhost

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	sealFile    = "seal"
	stagePrefix = "new-"
	keyLength   = 2 * sha256.Size

	// maxSeal is how much of a seal is read, and maxSealed how many files one may speak of; wazero keeps one.
	maxSeal   = 4 << 10
	maxSealed = 16

	// stageTime is how old what is being made may get before it counts as left behind.
	stageTime = time.Hour
)

// whole says that an entry is there and as it was when it was sealed. One that is not is removed.
func (c *cache) whole(entry string) bool {
	if _, err := os.Lstat(entry); err != nil {
		return false
	}
	sealed, err := readSeal(filepath.Join(entry, sealFile))
	if err == nil {
		var found []byte
		if found, err = contents(entry); err == nil && bytes.Equal(sealed, found) {
			return true
		}
	}
	c.stats.damaged.Add(1)
	_ = os.RemoveAll(entry)
	return false
}

func readSeal(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSeal))
}

// contents is what a seal says of an entry: a first line, and one for each file but the seal, in the order of their names.
func contents(entry string) ([]byte, error) {
	out, files := []byte(cacheFormat+"\n"), 0
	err := filepath.WalkDir(entry, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(entry, name)
		if err != nil || rel == sealFile {
			return err
		}
		if files++; files > maxSealed || !d.Type().IsRegular() {
			return fmt.Errorf("%s does not belong here", name)
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		n, err := io.Copy(h, f)
		out = fmt.Appendf(out, "%x %d %q\n", h.Sum(nil), n, rel)
		return err
	})
	return out, err
}

// evict removes what is over the cache's bounds, what was used longest ago first, and what other processes have left half done.
// The entry of key stays. What it cannot look at or remove it leaves: the next one tries again.
func (c *cache) evict(key string) {
	type entry struct {
		name  string
		used  time.Time
		bytes int64
	}
	list, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	var entries []entry
	var total int64
	for _, d := range list {
		path := filepath.Join(c.dir, d.Name())
		info, err := d.Info()
		if err != nil || !d.IsDir() {
			continue
		}
		if ok, _ := filepath.Match(stagePrefix+"*", d.Name()); ok && c.now().Sub(info.ModTime()) > stageTime {
			_ = os.RemoveAll(path)
		}
		if len(d.Name()) != keyLength {
			continue
		}
		e := entry{name: d.Name(), used: info.ModTime(), bytes: sizeBelow(path)}
		if seal, err := os.Lstat(filepath.Join(path, sealFile)); err == nil {
			e.used = seal.ModTime()
		}
		entries, total = append(entries, e), total+e.bytes
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name)) })
	left := len(entries)
	for _, e := range entries {
		if total <= c.bytes && left <= c.entries {
			return
		}
		if e.name == key {
			continue
		}
		if os.RemoveAll(filepath.Join(c.dir, e.name)) == nil {
			c.stats.evicted.Add(1)
			total, left = total-e.bytes, left-1
		}
	}
}

func sizeBelow(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipAll
		}
		if info, err := d.Info(); err == nil && !d.IsDir() {
			n += info.Size()
		}
		return nil
	})
	return n
}
