package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"edge/runtime/accesslog"
	"edge/runtime/control"
	"edge/runtime/metrics"
)

// TestTally: what children say is added up, whatever of it comes late, broken or not at all.
func TestTally(t *testing.T) {
	var log bytes.Buffer
	w := accesslog.New(&log, accesslog.Limits{})
	tally := newTally(accesslog.NewLogger(w, accesslog.Text, accesslog.Info, nil))
	said := func(requests int) []byte {
		t.Helper()
		s := metrics.New("x")
		shard := s.NewShard()
		for range requests {
			shard.Begin()
			shard.Request(s.Route("r"), metrics.MethodOf("GET"), 200, metrics.HTTP11, time.Millisecond, 0, 0)
		}
		families, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return joinNumbers([]byte(`{}`), families)
	}
	total := func(want string) {
		t.Helper()
		var out bytes.Buffer
		if err := tally.totals.Write(&out, tally.own); err != nil {
			t.Error(err)
		}
		const series = `edge_http_requests_total{code="200",method="GET",protocol="http/1.1",route="r"} `
		if _, after, _ := strings.Cut(out.String(), series); !strings.HasPrefix(after, want+"\n") {
			t.Errorf("%.20q, want %s", after, want)
		}
	}
	tally.take(control.Answer{Child: 1, Body: said(3)})
	tally.take(control.Answer{Child: 2, Body: said(4)})
	total("7")
	tally.take(control.Answer{Child: 2, Err: errors.New("does not answer")})
	total("7")
	tally.take(control.Answer{Child: 1, Err: fmt.Errorf("child 1 %w", control.ErrGone)}) // it is ending
	tally.gone(1, said(5))
	tally.take(control.Answer{Child: 1, Body: said(4)}) // on its way when the child ended
	total("9")
	tally.gone(2, []byte{9, 0, 0, 0, 'x'})
	total("9")
	if unanswered, _ := tally.totals.Trouble(); unanswered != 1 {
		t.Errorf("%d not answered", unanswered)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a child does not say how it fares child=2 error=\"does not answer\"", "child=2 error=\"what a child says of itself is not whole\""} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %s", want, log.String())
		}
	}
}

// FuzzSplitNumbers: a child can say what it likes.
func FuzzSplitNumbers(f *testing.F) {
	f.Add(joinNumbers([]byte("{}"), []byte("x")))
	f.Add([]byte{255, 255, 255, 255, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		status, families, err := splitNumbers(b)
		if err == nil && !bytes.Equal(joinNumbers(status, families), b) {
			t.Errorf("%q and %q of %q", status, families, b)
		}
	})
}
