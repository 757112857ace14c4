package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func logged(t *testing.T, style Style, level Level, write func(*Logger)) string {
	t.Helper()
	var out bytes.Buffer
	w := New(&out, Limits{})
	clock := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC) }
	write(NewLogger(w, style, level, clock))
	must(t, w.Close(within(t)))
	return out.String()
}

func everyField(l *Logger) {
	l.With(Int("child", 2)).Warn("door closed", Str("why", `no "worker"`), Int("n", -5), Uint("id", uint64(1<<63)),
		Dur("took", 1500*time.Microsecond), Flag("ok", true), Flag("bad", false), Err(errors.New("a\nb")), Err(nil))
}

func TestLoggerText(t *testing.T) {
	const want = `2026-01-02T03:04:05.006Z warn door closed child=2 why="no \"worker\"" n=-5 id=9223372036854775808 took=1.500 ` +
		`ok=true bad=false error="a\nb"` + "\n"
	if got := logged(t, Text, Info, everyField); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestLoggerJSON(t *testing.T) {
	got := logged(t, JSONL, Info, everyField)
	var m map[string]any
	if err := json.Unmarshal([]byte(got), &m); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	for key, want := range map[string]any{
		"ts": "2026-01-02T03:04:05.006Z", "level": "warn", "msg": "door closed", "child": 2.0, "why": `no "worker"`, "n": -5.0,
		"took": 1.5, "ok": true, "bad": false, "error": "a\nb",
	} {
		if m[key] != want {
			t.Errorf("%s: %v, want %v", key, m[key], want)
		}
	}
	if !strings.Contains(got, `"id":9223372036854775808`) {
		t.Errorf("id: %s", got)
	}
}

func TestLoggerOneLine(t *testing.T) {
	for _, style := range []Style{Text, JSONL} {
		got := logged(t, style, Trace, func(l *Logger) {
			for _, s := range hostile {
				l.Error(s, Str("s", s), Err(errors.New(s)))
			}
		})
		if n := strings.Count(got, "\n"); n != len(hostile) {
			t.Errorf("style %d: %d lines for %d messages", style, n, len(hostile))
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return r < 0x20 && r != '\n' || r == 0x7f }); i >= 0 {
			t.Errorf("style %d: %q stands unescaped", style, got[i])
		}
	}
}

func TestLevels(t *testing.T) {
	got := logged(t, Text, Warn, func(l *Logger) {
		child := l.With(Int("child", 1))
		l.Trace("t")
		l.Debug("d")
		l.Info("i")
		l.Warn("w")
		child.Error("e")
		child.SetLevel(Trace)
		l.Trace("t2")
		l.SetLevel(Error)
		child.Warn("w2")
	})
	var levels []string
	for line := range strings.Lines(got) {
		levels = append(levels, strings.Fields(line)[1])
	}
	if s := strings.Join(levels, " "); s != "warn error trace" {
		t.Errorf("%s\n%s", s, got)
	}
	var none *Logger
	none.Error("nobody hears")
	none.With(Int("n", 1)).Info("nor this")
	if none.Enabled(Error) {
		t.Error("no logger is enabled")
	}
}

// Requirement L1: what is off costs nothing.
func TestL1OffDoesNotAllocate(t *testing.T) {
	w := New(nowhere{}, Limits{})
	l := NewLogger(w, Text, Info, nil)
	err := errors.New("x")
	id := uint64(7)
	if n := testing.AllocsPerRun(100, func() {
		l.Trace("turn", Uint("connection", id), Str("state", "running"), Dur("took", time.Second), Err(err))
	}); n != 0 {
		t.Errorf("off: %v allocations", n)
	}
	l.SetLevel(Trace)
	for range 5000 {
		l.Trace("turn", Uint("connection", id), Str("state", "running"), Dur("took", time.Second), Err(err))
	}
	must(t, w.Close(within(t)))
	if w.Dropped() != 0 {
		t.Errorf("%d dropped", w.Dropped())
	}
}

func BenchmarkTraceOff(b *testing.B) {
	l := NewLogger(nil, Text, Info, nil)
	b.ReportAllocs()
	id := uint64(0)
	for b.Loop() {
		id++
		l.Trace("turn", Uint("connection", id), Str("state", "running"))
	}
}

func BenchmarkInfo(b *testing.B) {
	w := New(nowhere{}, Limits{})
	l := NewLogger(w, Text, Info, nil)
	b.ReportAllocs()
	for b.Loop() {
		l.Info("turn", Uint("connection", uint64(5)), Str("state", "running"))
	}
	w.Close(b.Context())
}
