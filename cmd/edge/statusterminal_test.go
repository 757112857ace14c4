package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/runtime/admin"
)

// terminal is a pseudoterminal: what a program writes to user is what somebody sees, and what is typed it reads there.
type terminal struct {
	user, side *os.File

	mu   sync.Mutex
	seen strings.Builder
}

// newTerminal opens one of so many columns and rows, or skips the test where there is none.
func newTerminal(t *testing.T, columns, rows uint16) *terminal {
	t.Helper()
	side, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudoterminal: %v", err)
	}
	t.Cleanup(func() { side.Close() })
	fd := int(side.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skipf("no pseudoterminal: %v", err)
	}
	user, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudoterminal: %v", err)
	}
	t.Cleanup(func() { user.Close() })
	term := &terminal{user: user, side: side}
	term.resize(t, columns, rows)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := side.Read(b)
			if err != nil {
				return
			}
			term.mu.Lock()
			term.seen.Write(b[:n])
			term.mu.Unlock()
		}
	}()
	return term
}

func (t *terminal) resize(tb testing.TB, columns, rows uint16) {
	if err := unix.IoctlSetWinsize(int(t.user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		tb.Fatal(err)
	}
}

func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen.String()
}

// mode is the terminal's local modes: whether it echoes, and gives lines or keys.
func (t *terminal) mode(tb testing.TB) uint32 {
	m, err := unix.IoctlGetTermios(int(t.user.Fd()), unix.TCGETS)
	if err != nil {
		tb.Fatal(err)
	}
	return m.Lflag
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in 10 s", what)
		}
	}
}

// TestWatchOnTerminal: on a terminal a watch draws on the other screen, within its size, keys do not show, and q leaves everything as it was.
func TestWatchOnTerminal(t *testing.T) {
	term := newTerminal(t, 40, 8)
	before, now := twoSeconds()
	asked := make(chan int, 100)
	ask := func(context.Context) ([]byte, *admin.Status, error) {
		asked <- 1
		if len(asked) == 1 {
			return nil, before, nil
		}
		return nil, now, nil
	}
	was := term.mode(t)
	ended := make(chan error, 1)
	go func() { ended <- watchStatus(context.Background(), ask, false, term.user, term.user) }()
	until(t, "the second view is drawn", func() bool { return strings.Count(term.text(), "\x1b[H") == 2 })
	if m := term.mode(t); m&(unix.ECHO|unix.ICANON) != 0 || m&unix.ISIG == 0 {
		t.Errorf("the modes are %b: keys show, or do not come, or ctrl-c does nothing", m)
	}
	term.resize(t, 200, 60)
	until(t, "a view of the larger size is drawn", func() bool { return strings.Count(term.text(), "\x1b[H") >= 3 })
	if _, err := term.side.WriteString("xq"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("q does not end it")
	}
	const home, hide, back = "\x1b[?1049h", "\x1b[?25l", "\x1b[?25h\x1b[?1049l"
	until(t, "the screen before is back", func() bool { return strings.HasSuffix(term.text(), back) })
	text := strings.ReplaceAll(term.text(), "\r\r\n", "\r\n") // the terminal adds one
	views := strings.Split(strings.TrimPrefix(strings.TrimSuffix(text, back), home+hide), "\x1b[H")
	for i, v := range views[1:] {
		columns, rows := 40, 8
		if i >= 2 {
			columns, rows = 200, 60
		}
		lines := strings.Split(strings.TrimSuffix(v, "\x1b[J"), "\r\n")
		if len(lines) > rows || !strings.HasSuffix(v, "\x1b[J") {
			t.Errorf("view %d has %d lines: %q", i, len(lines), v)
		}
		for _, l := range lines {
			if text := strings.TrimSuffix(l, "\x1b[K"); len([]rune(text)) > columns || strings.ContainsRune(text, 0x1b) {
				t.Errorf("view %d has the line %q", i, l)
			}
		}
	}
	if v := views[2]; !strings.HasPrefix(v, "edge 1.2, serving, up 12s, process 7, ed\x1b[K\r\n") || !strings.Contains(v, "\r\n… 13 more lines\x1b[K") {
		t.Errorf("the small view is %q", v)
	}
	if v := views[3]; !strings.Contains(v, "\r\n1      68   1           retiring, silent ") || !strings.Contains(v, "\r\ntimeouts idle: 5\x1b[K\x1b[J") {
		t.Errorf("the large view is %q", v)
	}
	if m := term.mode(t); m != was {
		t.Errorf("the modes are %b afterwards, they were %b", m, was)
	}
}
