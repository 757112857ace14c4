package http2

import (
	"encoding/binary"

	h2 "golang.org/x/net/http2"
)

const frameHeaderBytes = 9

// The frame of RFC 9218 section 7.1, which package h2 does not export a name for under every version.
const framePriorityUpdate h2.FrameType = 0x10

// frame is a frame's header (RFC 9113 section 4.1).
type frame struct {
	length int
	kind   h2.FrameType
	flags  h2.Flags
	id     uint32
}

// readFrame reads the header at the front of b, which holds all of it.
func readFrame(b []byte) frame {
	return frame{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   h2.FrameType(b[3]),
		flags:  h2.Flags(b[4]),
		id:     binary.BigEndian.Uint32(b[5:]) & (1<<31 - 1),
	}
}

// appendFrame appends a header. DATA is written with it and not with the Framer, which would copy the payload once more.
func appendFrame(dst []byte, length int, kind h2.FrameType, flags h2.Flags, id uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags),
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}
