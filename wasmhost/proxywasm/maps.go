package proxywasm

// mapCalls are the host calls on header maps. Reading a map that is not there now gives an empty map or notFound, which
// is what SDKs bear; writing to it gives badArgument, as it must not go unseen. So does an id that no map has.
var mapCalls = map[string]hostCall{
	"proxy_get_header_map_size":      {params: "mo", call: getMapSize},
	"proxy_get_header_map_pairs":     {params: "mXN", call: getMapPairs},
	"proxy_set_header_map_pairs":     {params: "mxn", call: setMapPairs},
	"proxy_get_header_map_value":     {params: "manON", call: getMapValue},
	"proxy_add_header_map_value":     {params: "manan", call: addMapValue},
	"proxy_replace_header_map_value": {params: "manan", call: replaceMapValue},
	"proxy_remove_header_map_value":  {params: "man", call: removeMapValue},
}

func getMapSize(i *Instance, a []uint64) status {
	size := 0
	if !i.writable32(a[1]) {
		return i.refuse(invalidMemoryAccess)
	}
	if uint32(a[0]) > lastMap {
		return i.refuse(badArgument)
	}
	if h, found := i.headers(a[0]); found && h.count() > 0 {
		size = h.bytes()
	}
	return i.write32(a[1], uint32(size))
}

func getMapPairs(i *Instance, a []uint64) status {
	at, n := a[1], a[2]
	if !i.writable32(at) || !i.writable32(n) {
		return i.refuse(invalidMemoryAccess)
	}
	if uint32(a[0]) > lastMap {
		return i.refuse(badArgument)
	}
	h, found := i.headers(a[0])
	if !found || h.count() == 0 {
		return i.give("", at, n)
	}
	to, s := i.room(h.bytes(), at, n)
	if s == ok {
		putPairs(to, &h)
		i.copied(len(to))
	}
	return s
}

// setMapPairs replaces a map by another. Every pair is checked before any is written. Pseudo headers that the new map
// does not name keep their values, and so do the fields that a guest's writes cannot reach.
func setMapPairs(i *Instance, a []uint64) status {
	b, fits := i.read(a[1], a[2])
	if !fits {
		return i.refuse(invalidMemoryAccess)
	}
	h, found := i.headers(a[0])
	if !found || h.stream == nil {
		return i.refuse(badArgument)
	}
	pairs, valid := getPairs(i.scratch.pairs[:0], b)
	i.scratch.pairs = pairs[:0]
	for _, p := range pairs {
		valid = valid && h.allows(p[0], p[1])
	}
	if !valid || len(b) > MaxMutationBytes-h.stream.written {
		return i.refuse(badArgument)
	}
	h.fields.DeleteFunc(func(name, _ string) bool { return !framing(name) })
	for _, p := range pairs {
		h.write(add, p[0], p[1])
	}
	return ok
}

// getMapValue gives the first value of a name. A name that is not there is notFound; in 0.1.0 it is an empty value.
func getMapValue(i *Instance, a []uint64) status {
	name, fits := i.readString(a[1], a[2])
	if !fits || !i.writable32(a[3]) || !i.writable32(a[4]) {
		return i.refuse(invalidMemoryAccess)
	}
	if uint32(a[0]) > lastMap {
		return i.refuse(badArgument)
	}
	var buf [3]byte
	if h, found := i.headers(a[0]); found {
		if value, found := h.get(name, &buf); found {
			return i.give(value, a[3], a[4])
		}
	}
	if s := i.give("", a[3], a[4]); s != ok || i.module.Version == V0_1_0 {
		return s
	}
	return notFound
}

func addMapValue(i *Instance, a []uint64) status     { return i.writeValue(add, a) }
func replaceMapValue(i *Instance, a []uint64) status { return i.writeValue(replace, a) }

func (i *Instance) writeValue(how change, a []uint64) status {
	name, fits := i.readString(a[1], a[2])
	value, fits2 := i.readString(a[3], a[4])
	if !fits || !fits2 {
		return i.refuse(invalidMemoryAccess)
	}
	h, found := i.headers(a[0])
	if !found {
		return i.refuse(badArgument)
	}
	if s := h.write(how, name, value); s != ok {
		return i.refuse(s)
	}
	return ok
}

func removeMapValue(i *Instance, a []uint64) status {
	name, fits := i.readString(a[1], a[2])
	if !fits {
		return i.refuse(invalidMemoryAccess)
	}
	h, found := i.headers(a[0])
	if !found {
		return i.refuse(badArgument)
	}
	if s := h.remove(name); s != ok {
		return i.refuse(s)
	}
	return ok
}
