package proxywasm

import "edge/filters"

// logCalls are log and clock.
var logCalls = map[string]hostCall{
	"proxy_log":                          {params: "lan", call: logLine},
	"proxy_get_log_level":                {params: "o", call: getLogLevel},
	"proxy_get_current_time_nanoseconds": {params: "u", call: getTime},
}

// logLine writes a log line. What is too long is cut, what is too much is dropped and counted; neither is an error, as
// SDKs end the guest on one.
func logLine(i *Instance, a []uint64) status {
	level := uint32(a[0])
	if level > uint32(filters.Critical) {
		return i.refuse(badArgument)
	}
	b, fits := i.read(a[1], a[2])
	if !fits {
		return i.refuse(invalidMemoryAccess)
	}
	i.log(filters.Level(level), b)
	return ok
}

// log copies the line, since a log may keep it beyond the call.
func (i *Instance) log(level filters.Level, line []byte) {
	if level < i.plugin.LogLevel {
		return
	}
	if i.lines++; i.lines > MaxLogLines {
		i.plugin.Counters.DroppedLog.Add(1)
		return
	}
	kept := string(line[:min(len(line), MaxLogLine)])
	if level >= filters.Error {
		i.Words.Add(kept)
	}
	i.emit(level, kept)
}

// emit logs a line for the stream whose context is effective, or else whose callback is running; or for no stream.
func (i *Instance) emit(level filters.Level, line string) {
	s := i.active
	if s == nil {
		s = i.current
	}
	if s != nil {
		s.x.Log(level, line)
	} else if i.plugin.Log != nil {
		i.plugin.Log(level, line)
	}
}

func getLogLevel(i *Instance, a []uint64) status { return i.write32(a[0], uint32(i.plugin.LogLevel)) }

// getTime gives nanoseconds since 1970, to the microsecond (W107: a coarse clock).
func getTime(i *Instance, a []uint64) status {
	return i.write64(a[0], uint64(i.plugin.Now().UnixMicro())*1000)
}
