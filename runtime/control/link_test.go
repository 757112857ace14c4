package control

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func pair(t *testing.T) (Link, Link) {
	t.Helper()
	ours, file, err := SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := NewLink(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// TestLink: messages come in order and whole, whatever their size, with their files.
func TestLink(t *testing.T) {
	ours, theirs := pair(t)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("what is in it"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	large := bytes.Repeat([]byte("0123456789"), 1<<20)
	sent := make(chan error, 1)
	go func() {
		for _, m := range []*Message{
			{Kind: AskKind, ID: 7, What: "status"},
			{Kind: OpenedKind, ID: 8, Files: []*os.File{f, f}},
			{Kind: AnswerKind, ID: 9, Body: large},
			{Kind: StartKind, Start: &Start{Number: 3, Text: Text{File: "a", Data: []byte("\x00\xff")}}},
		} {
			if err := ours.Send(m); err != nil {
				sent <- err
				return
			}
		}
		sent <- ours.Close()
	}()
	var got []*Message
	for {
		m, err := theirs.Receive()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 {
		t.Fatalf("%d messages", len(got))
	}
	if m := got[0]; m.Kind != AskKind || m.ID != 7 || m.What != "status" || len(m.Files) != 0 {
		t.Errorf("the first is %+v", m)
	}
	if len(got[1].Files) != 2 {
		t.Fatalf("the second has %d files", len(got[1].Files))
	}
	if text, err := io.ReadAll(got[1].Files[1]); err != nil || string(text) != "what is in it" {
		t.Errorf("the file has %q, %v", text, err)
	}
	closeAll(got[1].Files)
	if !bytes.Equal(got[2].Body, large) {
		t.Error("the third has another body")
	}
	if s := got[3].Start; s == nil || s.Number != 3 || string(s.Text.Data) != "\x00\xff" {
		t.Errorf("the fourth is %+v", got[3])
	}
}

// TestLinkBounds: what is larger than a message may be is not sent, and is not read.
func TestLinkBounds(t *testing.T) {
	ours, theirs := pair(t)
	for _, m := range []*Message{
		{Kind: AnswerKind, Body: make([]byte, MaxBody+1)},
		{Kind: AskKind, What: strings.Repeat("x", MaxHead)},
		{Kind: OpenedKind, Files: make([]*os.File, MaxFiles+1)},
	} {
		if err := ours.Send(m); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("%s: %v", m.Kind, err)
		}
	}
	if _, err := ours.(*socketLink).conn.Write([]byte{0, 0, 0, 0xff, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Receive(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a head of 4 GiB: %v", err)
	}
}

// TestLinkTorn: half a message is an error, and not the end.
func TestLinkTorn(t *testing.T) {
	ours, theirs := pair(t)
	if _, err := ours.(*socketLink).conn.Write([]byte{9, 0, 0, 0, 0, 0, 0, 0, '{'}); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	if _, err := theirs.Receive(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a message: %v", err)
	}
}

// TestLinkQuickEnd: who ends as soon as it has read what it was told has been told.
func TestLinkQuickEnd(t *testing.T) {
	for range 200 {
		ours, theirs := pair(t)
		go func() {
			if _, err := theirs.Receive(); err == nil {
				theirs.Close()
			}
		}()
		if err := ours.Send(&Message{Kind: StopKind}); err != nil {
			t.Fatal(err)
		}
	}
}
