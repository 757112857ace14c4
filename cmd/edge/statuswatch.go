package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"edge/runtime/admin"
)

// watchStatus shows the status every second until the context ends or, on a terminal, somebody types q. It goes on while edge does
// not answer, as it may be about to start again; only the first answer has to come.
func watchStatus(ctx context.Context, ask asker, asJSON bool, in *os.File, out io.Writer) error {
	text, s, err := ask(ctx)
	if err != nil {
		return err
	}
	screen := screenOf(out)
	if screen != nil && !asJSON {
		defer screen.open()()
		quit, cancel := context.WithCancel(ctx)
		defer cancel()
		defer keys(in, cancel)()
		ctx = quit
	}
	again := time.NewTicker(watchPeriod)
	defer again.Stop()
	var before, shown *admin.Status
	for {
		view := string(text)
		switch {
		case err != nil:
			view = err.Error() + "\n"
		case !asJSON:
			view = statusText(before, s)
		}
		if screen != nil && !asJSON {
			err = screen.show(view)
		} else if _, err = io.WriteString(out, view); err == nil && !asJSON {
			_, err = io.WriteString(out, "\n")
		}
		if err != nil {
			return err
		}
		if s != nil {
			shown = s
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		before = shown
		if text, s, err = ask(ctx); err != nil && ctx.Err() != nil {
			return nil
		}
	}
}

// screen is a terminal that is drawn over, never cleared: so it does not flicker.
type screen struct{ file *os.File }

// screenOf is the terminal behind a writer, or nil.
func screenOf(out io.Writer) *screen {
	f, ok := out.(*os.File)
	if !ok {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return &screen{f}
}

// open goes to the other screen and hides the cursor; what it returns goes back.
func (s *screen) open() (restore func()) {
	io.WriteString(s.file, "\x1b[?1049h\x1b[?25l")
	return func() { io.WriteString(s.file, "\x1b[?25h\x1b[?1049l") }
}

// show draws one view, in one write.
func (s *screen) show(view string) error {
	width, height := 80, 24
	if size, err := unix.IoctlGetWinsize(int(s.file.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 && size.Row > 0 {
		width, height = int(size.Col), int(size.Row)
	}
	_, err := io.WriteString(s.file, frame(view, width, height))
	return err
}

// frame is what draws a view over the one before: lines cut to the terminal's size, each erased to its end, and the rest erased.
func frame(view string, width, height int) string {
	var b strings.Builder
	b.WriteString("\x1b[H")
	lines := strings.Split(strings.TrimSuffix(view, "\n"), "\n")
	if over := len(lines) - height; over > 0 {
		lines = append(lines[:height-1:height-1], fmt.Sprintf("… %d more lines", over+1))
	}
	for i, l := range lines {
		if r := []rune(l); len(r) > width {
			l = string(r[:width])
		}
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(l + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	return b.String()
}

// keys has q call quit, where in is a terminal. What it returns puts the terminal back. The goroutine that reads ends with the
// process.
func keys(in *os.File, quit func()) (restore func()) {
	fd := int(in.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}
	}
	raw := *was
	raw.Lflag &^= unix.ICANON | unix.ECHO
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(fd, unix.TCSETS, &raw) != nil {
		return func() {}
	}
	go func() {
		key := make([]byte, 1)
		for {
			if n, err := in.Read(key); err != nil || n == 1 && (key[0] == 'q' || key[0] == 'Q') {
				quit()
				return
			}
		}
	}()
	return func() { unix.IoctlSetTermios(fd, unix.TCSETS, was) }
}
