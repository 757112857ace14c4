package proxywasm

import (
	"encoding/binary"
	"strings"

	"edge/filters"
)

// propertyCalls read and write attributes.
var propertyCalls = map[string]hostCall{
	"proxy_get_property": {params: "qnON", call: getProperty},
	"proxy_set_property": {params: "qnan", call: setProperty},
}

// getProperty gives an attribute's value: text as it is, numbers as 8 bytes little endian, a bool as one byte, a time as
// nanoseconds, a map as pairs. One that is not there, or belongs to a stream where there is none, is notFound. Its path
// is segments with NUL between them; one more at the end is tolerated.
func getProperty(i *Instance, a []uint64) status {
	path, s := i.path(a[0], a[1])
	if s != ok {
		return s
	}
	switch path {
	case "plugin_name":
		return i.give(i.plugin.Name, a[2], a[3])
	case "plugin_root_id":
		return i.give(i.plugin.RootID, a[2], a[3])
	case "plugin_vm_id":
		return i.give(i.plugin.VMID, a[2], a[3])
	}
	x := i.exchange()
	if x == nil || !i.reachable(i.active, filters.Request) && !i.reachable(i.active, filters.Response) {
		return notFound // a stream paused on a body owns that, and not what attributes are read from
	}
	v, found := x.Property(path)
	if !found {
		return notFound
	}
	var buf [8]byte
	switch v.Kind {
	case filters.Int, filters.Time:
		binary.LittleEndian.PutUint64(buf[:], uint64(v.Num))
		return i.give(text(buf[:]), a[2], a[3])
	case filters.Bool:
		if v.Num != 0 {
			return i.give("\x01", a[2], a[3])
		}
		return i.give("\x00", a[2], a[3])
	case filters.Map:
		if v.Fields == nil {
			return notFound
		}
		h := headers{fields: v.Fields}
		to, s := i.room(h.bytes(), a[2], a[3])
		if s == ok {
			putPairs(to, &h)
		}
		return s
	}
	return i.give(v.Text, a[2], a[3])
}

// setProperty stores an attribute of the stream for all its filters.
func setProperty(i *Instance, a []uint64) status {
	path, s := i.path(a[0], a[1])
	if s != ok {
		return s
	}
	value, fits := i.read(a[2], a[3])
	if !fits {
		return i.refuse(invalidMemoryAccess)
	}
	x := i.exchange()
	if x == nil || path == "" {
		return i.refuse(badArgument)
	}
	if err := x.SetProperty(strings.Clone(path), value); err != nil {
		return i.refuse(internalFailure)
	}
	return ok
}

// exchange is the effective stream's, where the callback may touch it.
func (i *Instance) exchange() filters.Exchange {
	if s := i.active; s != nil && (s == i.current || s.Paused()) {
		return s.x
	}
	return nil
}

func (i *Instance) path(at, n uint64) (string, status) {
	path, fits := i.readString(at, n)
	if !fits {
		return "", i.refuse(invalidMemoryAccess)
	}
	if len(path) > MaxPropertyPath {
		return "", i.refuse(badArgument)
	}
	return strings.TrimSuffix(path, "\x00"), ok
}
