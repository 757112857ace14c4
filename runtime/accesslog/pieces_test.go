package accesslog

import (
	"bufio"
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// writerVariable has the test program be one of several processes that write to its standard output, or to the file it names.
const (
	writerVariable = "EDGE_LOG_TEST"
	writerLines    = 1000
	writers        = 4
)

func TestMain(m *testing.M) {
	who, isWriter := os.LookupEnv(writerVariable)
	if !isWriter {
		os.Exit(m.Run())
	}
	name, target, _ := strings.Cut(who, " ")
	w, err := Open(target, Limits{Buffer: 1 << 30})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := range writerLines {
		w.Write(testLine(name, i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Close(ctx); err != nil || w.Dropped() != 0 {
		fmt.Fprintln(os.Stderr, err, w.Dropped())
		os.Exit(1)
	}
	os.Exit(0)
}

// testLine is a line that tells whether it is whole; they are up to 2.3 kB long.
func testLine(name string, i int) []byte {
	text := fmt.Sprintf("%s %d %s", name, i, strings.Repeat("abcdefg ", 1+i*37%290))
	return fmt.Appendf(nil, "%s%08x\n", text, crc32.ChecksumIEEE([]byte(text)))
}

// readLines reads all lines, and complains of those that are not whole, not there, or not in their writer's order.
func readLines(t *testing.T, lines *bufio.Scanner) {
	t.Helper()
	next := map[string]int{}
	torn := 0
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		number, _, _ := strings.Cut(rest, " ")
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= writerLines || lines.Text()+"\n" != string(testLine(name, i)) {
			if torn++; torn == 1 {
				t.Errorf("torn: %.100q", lines.Text())
			}
			continue
		}
		if i != next[name] {
			t.Errorf("line %d of %s, want %d", i, name, next[name])
		}
		next[name] = i + 1
	}
	if torn > 0 {
		t.Errorf("%d lines are torn", torn)
	}
	for name, n := range next {
		if n != writerLines {
			t.Errorf("%d lines of %s", n, name)
		}
	}
	if len(next) != writers || lines.Err() != nil {
		t.Errorf("lines of %d writers, %v", len(next), lines.Err())
	}
}

func startWriters(t *testing.T, target string, out *os.File) (wait func()) {
	t.Helper()
	var all []*exec.Cmd
	for i := range writers {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), fmt.Sprintf("%s=w%d %s", writerVariable, i, target))
		c.Stdout, c.Stderr = out, os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return func() {
		for _, c := range all {
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestManyWriters: lines that several processes write to one place are whole, whatever it is.
func TestManyWriters(t *testing.T) {
	read := func(t *testing.T, r, w *os.File) {
		wait := startWriters(t, "stdout", w)
		w.Close()
		readLines(t, bufio.NewScanner(r))
		wait()
		r.Close()
	}
	t.Run("pipe", func(t *testing.T) {
		r, w, err := os.Pipe()
		must(t, err)
		read(t, r, w)
	})
	t.Run("socket", func(t *testing.T) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		must(t, err)
		read(t, os.NewFile(uintptr(fds[0]), "read"), os.NewFile(uintptr(fds[1]), "write"))
	})
	t.Run("fifo", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "fifo")
		must(t, syscall.Mkfifo(path, 0o600))
		r, err := os.OpenFile(path, os.O_RDWR, 0) // so that there is a reader before there is a writer
		must(t, err)
		defer r.Close()
		wait := startWriters(t, path, nil)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			wait()
			w, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintln(w, "end")
			w.Close()
		}()
		lines := bufio.NewScanner(r)
		lines.Split(func(b []byte, eof bool) (int, []byte, error) {
			n, line, err := bufio.ScanLines(b, eof)
			if string(line) == "end" {
				return n, nil, bufio.ErrFinalToken
			}
			return n, line, err
		})
		readLines(t, lines)
		<-ended
	})
	file := func(t *testing.T, target string, flags int) {
		path := filepath.Join(t.TempDir(), "log")
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|flags, 0o600)
		must(t, err)
		defer f.Close()
		if target == "" {
			target = path
		}
		startWriters(t, target, f)()
		_, err = f.Seek(0, 0)
		must(t, err)
		readLines(t, bufio.NewScanner(f))
	}
	t.Run("file", func(t *testing.T) { file(t, "", 0) })
	t.Run("inherited file", func(t *testing.T) { file(t, "stdout", 0) })
	t.Run("inherited file for appending", func(t *testing.T) { file(t, "stdout", os.O_APPEND) })
}

// TestPieces: pieces end where lines do, if any does in time, and tell what has been written.
func TestPieces(t *testing.T) {
	p := pieces{most: 8}
	for text, want := range map[string]int{"": 0, "abc\n": 4, "abc\nde\n": 7, "abc\nde\nfg\n": 7, "abcdefg\nh\n": 8, "abcdefgh\ni\n": 9, "abcdefghij": 10, "abc\ndefghijk\n": 4} {
		if got := p.next([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	r, w, err := os.Pipe()
	must(t, err)
	r.Close()
	defer w.Close()
	if n, err := (pieces{w, 8}).Write([]byte("abc\ndefgh\n")); n != 0 || err == nil {
		t.Errorf("%d bytes written to nobody, %v", n, err)
	}
}
