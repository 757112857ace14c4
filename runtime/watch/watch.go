// Package watch tells when files have changed, once they have settled. It hears of changes from the kernel, and looks by itself now
// and then, which is all there is on file systems that tell nothing (NFS) and where the kernel has no watches left.
//
// What counts is the file that a path leads to. So a file written in place is seen, one renamed over the old, as editors do, and
// one behind a symbolic link that is turned elsewhere, as Kubernetes does with the volumes of a ConfigMap.
package watch

import (
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options are a Watcher's settings.
type Options struct {
	// Settle is how long a file must stay as it is before it counts as written; 0 is 100 ms. What does not come to rest is told
	// of all the same after MaxSettle.
	Settle time.Duration

	// Poll is how often the files are looked at without a sign from the kernel; 0 is 10 s.
	Poll time.Duration

	// Log takes what keeps the watcher from hearing of changes at once; nil discards.
	Log func(text string)
}

// MaxSettle bounds the wait for a file that keeps changing.
const MaxSettle = 10 * time.Second

const (
	defaultSettle = 100 * time.Millisecond
	defaultPoll   = 10 * time.Second
)

// Watcher watches a set of files. Close ends it.
type Watcher struct {
	options Options
	changes chan string
	stop    chan struct{}
	done    chan struct{}

	// The rest is run's.
	files  []*file
	events *fsnotify.Watcher // nil where the kernel gives none
	dirs   []string          // that events come from
	deaf   []string          // that they should come from, and do not
	due    []string          // paths to be told of
}

// file is one path.
type file struct {
	path  string
	told  identity  // what it was when it was last told of
	seen  identity  // what it was at the last look
	since time.Time // when seen began to differ from told
}

// identity is enough to tell that a file has been changed: any write, and any other file in its place. The zero value is none.
type identity struct {
	device, inode uint64
	size          int64
	written, meta syscall.Timespec
}

func identify(path string) identity {
	info, err := os.Stat(path)
	if err != nil {
		return identity{}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{size: info.Size()}
	}
	return identity{device: st.Dev, inode: st.Ino, size: st.Size, written: st.Mtim, meta: st.Ctim}
}

// New begins to watch. A change that comes after New is told of; a file that is not there may come later.
func New(paths []string, o Options) *Watcher {
	if o.Settle == 0 {
		o.Settle = defaultSettle
	}
	if o.Poll == 0 {
		o.Poll = defaultPoll
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	w := &Watcher{options: o, changes: make(chan string), stop: make(chan struct{}), done: make(chan struct{})}
	for _, path := range slices.Compact(slices.Sorted(slices.Values(paths))) {
		w.files = append(w.files, &file{path: path})
	}
	events, err := fsnotify.NewWatcher()
	if err != nil {
		o.Log(fmt.Sprintf("the kernel does not tell of changed files, they are looked at every %s: %v", o.Poll, err))
	} else {
		w.events = events
	}
	w.place() // before the first look, so that nothing falls between
	for _, f := range w.files {
		f.told = identify(f.path)
		f.seen = f.told
	}
	go w.run()
	return w
}

// Changes has the path of each file that has changed. While nobody receives, further changes of the same file are one.
func (w *Watcher) Changes() <-chan string { return w.changes }

// Done is closed when the watcher has ended.
func (w *Watcher) Done() <-chan struct{} { return w.done }

// Close ends the watcher. Changes is never closed.
func (w *Watcher) Close() {
	close(w.stop)
	<-w.done
}

func (w *Watcher) run() {
	defer close(w.done)
	poll := time.NewTicker(w.options.Poll)
	defer poll.Stop()
	look := time.NewTimer(time.Hour)
	look.Stop()
	armed := false
	arm := func() {
		if !armed {
			look.Reset(w.options.Settle)
			armed = true
		}
	}
	var events <-chan fsnotify.Event
	var errs <-chan error
	if w.events != nil {
		defer w.events.Close()
		events, errs = w.events.Events, w.events.Errors
	}
	for {
		var out chan<- string
		first := ""
		if len(w.due) > 0 {
			out, first = w.changes, w.due[0]
		}
		select {
		case <-w.stop:
			return
		case out <- first:
			w.due = w.due[1:]
		case <-events:
			arm()
		case <-errs: // events have been lost
			arm()
		case <-poll.C:
			arm()
		case <-look.C:
			armed = false
			if w.look(time.Now()) {
				arm()
			}
		}
	}
}

// look finds what has changed and come to rest, and says whether something has not.
func (w *Watcher) look(now time.Time) (restless bool) {
	w.place()
	for _, f := range w.files {
		is := identify(f.path)
		switch {
		case is == f.told || is == (identity{}): // as it was, or not there, between two versions perhaps
			f.seen, f.since = f.told, time.Time{}
		case is == f.seen || !f.since.IsZero() && now.Sub(f.since) >= MaxSettle:
			f.told, f.seen, f.since = is, is, time.Time{}
			if !slices.Contains(w.due, f.path) {
				w.due = append(w.due, f.path)
			}
		default:
			if f.since.IsZero() {
				f.since = now
			}
			f.seen, restless = is, true
		}
	}
	return restless
}

// place has events come from the directories in which a change would turn one of the paths elsewhere.
func (w *Watcher) place() {
	if w.events == nil {
		return
	}
	var want []string
	for _, f := range w.files {
		for _, dir := range directories(f.path) {
			if !slices.Contains(want, dir) {
				want = append(want, dir)
			}
		}
	}
	for _, dir := range w.dirs {
		if !slices.Contains(want, dir) {
			_ = w.events.Remove(dir) // it may be gone, and its watch with it
		}
	}
	var dirs, deaf []string
	for _, dir := range want {
		err := w.events.Add(dir) // again, too: another directory may be there by that name
		if err == nil {
			dirs = append(dirs, dir)
			continue
		}
		deaf = append(deaf, dir)
		if !slices.Contains(w.deaf, dir) {
			w.options.Log(fmt.Sprintf("%s: the kernel does not tell of changes, it is looked at every %s: %v", dir, w.options.Poll, err))
		}
	}
	w.dirs, w.deaf = dirs, deaf
}
