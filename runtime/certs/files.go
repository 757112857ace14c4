package certs

import (
	"os"
	"slices"
	"syscall"
)

// Files are files that are looked at again and again for changes. One caller at a time.
type Files struct {
	open  Opener
	paths []string
	told  []fingerprint // when a change was last told of
	seen  []fingerprint // when last looked at
}

// NewFiles begins to look at the files of these paths; open as in Source.
func NewFiles(open Opener, paths ...string) *Files {
	f := &Files{open: open, paths: paths}
	f.told = f.look()
	f.seen = f.told
	return f
}

// files are those of a certificate.
func (s Source) files() *Files {
	var paths []string
	for _, path := range [...]string{s.Certificate, s.Key, s.ClientCA} {
		if path != "" && path != SelfSigned {
			paths = append(paths, path)
		}
	}
	return NewFiles(s.Open, paths...)
}

// Changed says, once for each change, that the files are others than before, when they have stayed the same between two calls: a certificate
// and its key are two files, and are seldom replaced at one moment.
func (f *Files) Changed() bool {
	now := f.look()
	settled := slices.Equal(now, f.seen)
	f.seen = now
	if !settled || slices.Equal(now, f.told) {
		return false
	}
	f.told = now
	return true
}

// fingerprint tells a file from what it was: a new file in its place has another number, a new content another time or size. The zero one is
// of a file that is not there.
type fingerprint struct {
	inode  uint64
	size   int64
	change int64 // nanoseconds
}

func (f *Files) look() []fingerprint {
	prints := make([]fingerprint, len(f.paths))
	for i, path := range f.paths {
		info, err := f.stat(path)
		if err != nil {
			continue
		}
		prints[i] = fingerprint{size: info.Size(), change: info.ModTime().UnixNano()}
		if sys, ok := info.Sys().(*syscall.Stat_t); ok {
			prints[i].inode = sys.Ino
		}
	}
	return prints
}

func (f *Files) stat(path string) (os.FileInfo, error) {
	if f.open == nil {
		return os.Stat(path)
	}
	file, err := f.open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.Stat()
}
