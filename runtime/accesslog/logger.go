package accesslog

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// Level is the severity of a message of the process.
type Level int32

const (
	Trace Level = iota // what each request does (requirement L1)
	Debug              // what the engine does: admission, timeouts
	Info               // what an operator did
	Warn               // what will hurt
	Error              // what does
)

var levelNames = [...]string{"trace", "debug", "info", "warn", "error"}

// String is the level's name in the configuration and in JSON.
func (l Level) String() string {
	if l < Trace || l > Error {
		return "level?"
	}
	return levelNames[l]
}

// ParseLevel reads a level's name in the configuration: trace, debug, info, warn, error.
func ParseLevel(name string) (Level, error) {
	for i, n := range levelNames {
		if n == name {
			return Level(i), nil
		}
	}
	return 0, fmt.Errorf("no log level %q: trace, debug, info, warn or error", name)
}

// Field is a named value of a message, made by Str, Int, Uint, Dur, Flag and Err.
type Field struct {
	key  string
	text string
	num  int64
	err  error
	kind fieldKind
}

type fieldKind uint8

const (
	textField fieldKind = iota
	intField
	uintField
	durField
	boolField
	errField
)

// Str is a text.
func Str(key, value string) Field { return Field{key: key, text: value} }

// Int is a number.
func Int[N ~int | ~int8 | ~int16 | ~int32 | ~int64](key string, n N) Field {
	return Field{key: key, num: int64(n), kind: intField}
}

// Uint is a number without a sign.
func Uint[N ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64](key string, n N) Field {
	return Field{key: key, num: int64(n), kind: uintField}
}

// Dur is a duration, written in milliseconds with three decimals.
func Dur(key string, d time.Duration) Field { return Field{key: key, num: int64(d), kind: durField} }

// Flag is true or false.
func Flag(key string, v bool) Field {
	f := Field{key: key, kind: boolField}
	if v {
		f.num = 1
	}
	return f
}

// Err is an error under the key "error", or nothing where there is none. Its text is made only if the message is
// written.
func Err(err error) Field { return Field{key: "error", err: err, kind: errField} }

// Style is the shape of the process's messages.
type Style uint8

const (
	Text  Style = iota // time, level, message, key=value
	JSONL              // one JSON object a line
)

// Logger writes the process's messages as lines to a Writer, so it blocks no more than an access log does. A message
// below its level costs one load and one comparison and allocates nothing (requirement L1). A nil Logger writes
// nothing. It is safe for use by several goroutines at once.
type Logger struct {
	level *atomic.Int32 // shared by all that With has made
	out   *Writer
	style Style
	now   func() time.Time
	fixed []byte // With's fields, as they stand in a line
}

// NewLogger makes a logger; now is its clock, nil means time.Now. The writer stays the caller's to close.
func NewLogger(out *Writer, style Style, level Level, now func() time.Time) *Logger {
	if now == nil {
		now = time.Now
	}
	l := &Logger{level: new(atomic.Int32), out: out, style: style, now: now}
	l.SetLevel(level)
	return l
}

// SetLevel changes the level of this logger and of every one made from it or that it was made from.
func (l *Logger) SetLevel(level Level) { l.level.Store(int32(level)) }

// Enabled says whether a message of that level is written.
func (l *Logger) Enabled(level Level) bool { return l != nil && int32(level) >= l.level.Load() }

// With makes a logger that adds fields to every message.
func (l *Logger) With(fields ...Field) *Logger {
	if l == nil {
		return nil
	}
	m := *l
	m.fixed = m.appendFields(append([]byte(nil), l.fixed...), fields)
	return &m
}

// Trace writes a message of that level.
func (l *Logger) Trace(msg string, fields ...Field) { l.Log(Trace, msg, fields...) }

// Debug writes a message of that level.
func (l *Logger) Debug(msg string, fields ...Field) { l.Log(Debug, msg, fields...) }

// Info writes a message of that level.
func (l *Logger) Info(msg string, fields ...Field) { l.Log(Info, msg, fields...) }

// Warn writes a message of that level.
func (l *Logger) Warn(msg string, fields ...Field) { l.Log(Warn, msg, fields...) }

// Error writes a message of that level.
func (l *Logger) Error(msg string, fields ...Field) { l.Log(Error, msg, fields...) }

// Log writes a message of a level.
func (l *Logger) Log(level Level, msg string, fields ...Field) {
	if l.Enabled(level) {
		l.write(level, msg, fields)
	}
}

// LogAlways writes a message of a level, whatever the logger's level is: its caller has decided that it is wanted.
func (l *Logger) LogAlways(level Level, msg string, fields ...Field) {
	if l != nil {
		l.write(level, msg, fields)
	}
}

func (l *Logger) write(level Level, msg string, fields []Field) {
	var buf [1024]byte
	b := buf[:0]
	if l.style == JSONL {
		b = append(b, `{"ts":"`...)
		b = appendTime(b, l.now())
		b = append(b, `","level":"`...)
		b = append(b, level.String()...)
		b = append(b, `","msg":`...)
		b = appendQuoted(b, msg)
	} else {
		b = appendTime(b, l.now())
		b = append(b, ' ')
		b = append(b, level.String()...)
		b = append(b, ' ')
		b = escape(b, msg)
	}
	b = append(b, l.fixed...)
	b = l.appendFields(b, fields)
	if l.style == JSONL {
		b = append(b, '}')
	}
	l.out.Write(append(b, '\n'))
}

func (l *Logger) appendFields(b []byte, fields []Field) []byte {
	for i := range fields {
		f := &fields[i]
		if f.kind == errField && f.err == nil {
			continue
		}
		if l.style == JSONL {
			b = appendQuoted(append(b, ','), f.key)
			b = append(b, ':')
		} else {
			b = append(b, ' ')
			b = append(b, f.key...)
			b = append(b, '=')
		}
		switch f.kind {
		case intField:
			b = strconv.AppendInt(b, f.num, 10)
		case uintField:
			b = strconv.AppendUint(b, uint64(f.num), 10)
		case durField:
			b = millis(b, "", time.Duration(f.num))
		case boolField:
			b = strconv.AppendBool(b, f.num != 0)
		case errField:
			b = appendQuoted(b, f.err.Error())
		default:
			b = appendQuoted(b, f.text)
		}
	}
	return b
}
