package httpwasm

import "edge/filters"

// levelOf is one of the ABI's levels as the server's. Above error there is only "none".
func levelOf(level uint64) (filters.Level, bool) {
	switch int32(uint32(level)) {
	case logDebug:
		return filters.Debug, true
	case logInfo:
		return filters.Info, true
	case logWarn:
		return filters.Warn, true
	case logError:
		return filters.Error, true
	}
	return 0, false
}

// logLine never traps: a line that cannot be read, or of no level, is dropped.
func logLine(i *Instance, a []uint64) {
	level, known := levelOf(a[0])
	if line, fits := i.Memory.Read(uint32(a[1]), uint32(a[2])); known && fits {
		i.log(level, line)
	}
}

func logEnabled(i *Instance, a []uint64) {
	level, known := levelOf(a[0])
	a[0] = 0
	if known && level >= i.plugin.LogLevel {
		a[0] = 1
	}
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

// emit logs a line for the exchange whose call is under way, or for none.
func (i *Instance) emit(level filters.Level, line string) {
	if i.stream != nil {
		i.stream.x.Log(level, line)
	} else if i.plugin.Log != nil {
		i.plugin.Log(level, line)
	}
}

// enableFeatures counts for all exchanges of the instance where it is called at the start, and else for this one.
func enableFeatures(i *Instance, a []uint64) {
	to := &i.features
	if i.stream != nil {
		to = &i.stream.features
	}
	*to |= uint32(a[0]) & allFeatures
	a[0] = uint64(*to)
}

func getConfig(i *Instance, a []uint64) {
	a[0] = i.give(text(i.plugin.Config), a[0], a[1])
}
