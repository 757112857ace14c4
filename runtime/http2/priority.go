package http2

// Priorities of RFC 9218: streams of a lower urgency go first; among the same, those that are not incremental one after the other,
// those that are a frame each in turn.

const defaultUrgency = 3

// prioritize reads a Priority field value: the members u and i of a dictionary (RFC 8941 section 3.2). What is not valid changes
// nothing.
func (s *Stream) prioritize(value string) {
	urgency, incremental := uint8(defaultUrgency), false
	for value != "" {
		var member string
		member, value = nextMember(value)
		switch {
		case len(member) == 3 && member[0] == 'u' && member[1] == '=' && '0' <= member[2] && member[2] <= '7':
			urgency = member[2] - '0'
		case member == "i", member == "i=?1":
			incremental = true
		case member == "i=?0":
			incremental = false
		}
	}
	s.urgency = urgency
	if s.flags &^= streamIncremental; incremental {
		s.flags |= streamIncremental
	}
}

// nextMember cuts the first member off a list, without its parameters.
func nextMember(list string) (member, rest string) {
	end := len(list)
	for i := 0; i < len(list); i++ {
		if list[i] == ',' {
			end, rest = i, list[i+1:]
			break
		}
	}
	member = trim(list[:end])
	for i := 0; i < len(member); i++ {
		if member[i] == ';' {
			return trim(member[:i]), rest
		}
	}
	return member, rest
}

// Streams are the streams in use in the order in which they are to be served, incremental ones in turn from call to call. It is valid
// until the next call for any session of the same Output; a stream that is released meanwhile has ID 0, or belongs to a later request.
func (c *Session) Streams() []*Stream {
	o := c.o
	o.order = o.order[:0]
	c.turns++
	for urgency := uint8(0); urgency < 8 && len(o.order) < len(c.streams); urgency++ {
		var incremental int
		for _, s := range c.streams {
			switch {
			case s.urgency != urgency:
			case s.is(streamIncremental):
				incremental++
			default:
				o.order = append(o.order, s)
			}
		}
		if incremental > 0 {
			c.rotate(urgency, int(c.turns)%incremental)
		}
	}
	return o.order
}

// rotate appends the incremental streams of an urgency, the one after the first skip of them first.
func (c *Session) rotate(urgency uint8, skip int) {
	for _, behind := range [...]bool{false, true} {
		i := 0
		for _, s := range c.streams {
			if s.urgency == urgency && s.is(streamIncremental) {
				if (i < skip) == behind {
					c.o.order = append(c.o.order, s)
				}
				i++
			}
		}
	}
}

// Fill writes what waits, in the order of priority, as far as the windows let it and until room bytes are written. It says whether it
// stopped for want of room.
func (c *Session) Fill(room int) (more bool) {
	if c.waiting == 0 || c.failure != nil {
		return false
	}
	order := c.Streams()
	for i := 0; i < len(order); {
		s := order[i]
		last := i + 1
		if s.is(streamIncremental) {
			for last < len(order) && order[last].urgency == s.urgency && order[last].is(streamIncremental) {
				last++
			}
		}
		if room = c.fillGroup(order[i:last], room); room <= 0 {
			return c.waiting > 0
		}
		i = last
	}
	return false
}

// fillGroup has one stream, or the incremental ones of an urgency in turn, send what they can.
func (c *Session) fillGroup(group []*Stream, room int) int {
	for moved := true; moved && room > 0; {
		moved = false
		for _, s := range group {
			if !s.is(streamQueued) {
				continue
			}
			most := room
			if len(group) > 1 {
				most = min(room, MaxFrameBytes)
			}
			n := s.emit(s.out.Bytes(), most)
			s.out.Consume(n)
			c.queued -= n
			room -= n
			if s.is(streamOutGone) || s.out.Len() == 0 && !s.is(streamOutEnd) {
				c.unwait(s)
			}
			moved = moved || n > 0
			if room <= 0 {
				break
			}
		}
	}
	return room
}
