// Package files is the static file action: it resolves a request's path below a root, decides the response's head
// (RFC 9110: conditions, ranges, content negotiation) and hands out the open file. It knows no socket; the server sends
// what [File] describes, by one write for a small file and by sendfile for a large one.
//
// Nothing outside the root is ever opened, whatever the path or a symbolic link says: the kernel resolves beneath the
// root's descriptor (openat2 with RESOLVE_BENEATH), and where it cannot, [os.Root] does.
package files

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of the action.
const (
	// MaxPath is the most bytes of a decoded path below the root, with an index name or a sidecar suffix appended and
	// the closing NUL (Linux PATH_MAX). A longer path is answered with 404.
	MaxPath = 4096

	// MaxIndex is the most index names of one action: each may cost one system call per request for a directory.
	MaxIndex = 8

	// maxResolveRetries bounds the retries when the tree is being renamed during a lookup (openat2 answers EAGAIN).
	maxResolveRetries = 8
)

// Options configure one action.
type Options struct {
	// Root is the directory served. It is opened once: where Root is itself a symbolic link that is changed later, the
	// action goes on with the directory it found until it is opened anew. Links below it are followed where they are
	// relative and stay below it; an absolute one is not, wherever it leads.
	Root string

	// Strip is the prefix of the request's path that stands for the root, such as "/static"; a closing slash does not
	// matter. A path without it, compared after percent-decoding and at a segment's end, is answered with 404.
	Strip string

	// Index are the names tried for a path that ends in a slash, in order. nil means index.html; empty means none.
	Index []string

	// Precompressed answers with name.br, name.zst or name.gz beside the file, where the client accepts that coding and
	// the sidecar is not older than the file, compared in whole seconds.
	Precompressed bool

	// Dotfiles serves names that begin with a dot. ".." is refused all the same.
	Dotfiles bool

	// Now is the clock, for modification times that lie in the future; nil means time.Now.
	Now func() time.Time
}

// Action serves one directory. It is safe for use by several workers at once, until Close.
type Action struct {
	strip         string
	index         []string
	precompressed bool
	dotfiles      bool
	now           func() time.Time
	seen          atomic.Int64 // Unix seconds that the clock is known to have reached

	root   int      // O_PATH descriptor
	walker *os.Root // in the place of openat2 where the kernel has none; nil otherwise
}

// Open opens the root directory and checks the options. Its errors name what is wrong.
func Open(o Options) (*Action, error) {
	a := &Action{precompressed: o.Precompressed, dotfiles: o.Dotfiles, now: o.Now, index: o.Index}
	if a.now == nil {
		a.now = time.Now
	}
	if a.index == nil {
		a.index = []string{"index.html"}
	}
	if len(a.index) > MaxIndex {
		return nil, fmt.Errorf("files: %d index names, at most %d", len(a.index), MaxIndex)
	}
	for _, name := range a.index {
		if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "/\x00") {
			return nil, fmt.Errorf("files: index %q is not a file name", name)
		}
	}
	a.strip = strings.TrimRight(o.Strip, "/")
	if a.strip != "" && a.strip[0] != '/' {
		return nil, fmt.Errorf("files: strip %q does not begin with a slash", o.Strip)
	}
	if o.Root == "" {
		return nil, errors.New("files: no root")
	}
	fd, err := unix.Open(o.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("files: root: %w", &os.PathError{Op: "open", Path: o.Root, Err: err})
	}
	a.root = fd
	if err := a.probe(o.Root); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("files: root: %w", err)
	}
	return a, nil
}

// probe finds out whether the kernel, or a sandbox around the process, lets us use openat2.
func (a *Action) probe(root string) error {
	fd, errno := openBeneath(a.root, []byte(".\x00"))
	switch errno {
	case 0:
		return unix.Close(fd)
	case unix.ENOSYS, unix.EPERM:
		return a.walk(root)
	}
	return &os.PathError{Op: "openat2", Path: root, Err: errno}
}

// walk has the action look files up with os.Root from now on.
func (a *Action) walk(root string) (err error) {
	a.walker, err = os.OpenRoot(root)
	return err
}

// Close gives the root back. Files handed out before stay open; Serve must not be called any more.
func (a *Action) Close() error {
	err := unix.Close(a.root)
	if a.walker != nil {
		err = errors.Join(err, a.walker.Close())
	}
	return err
}
