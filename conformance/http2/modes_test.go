package http2

import (
	"bytes"
	"strings"

	h2 "golang.org/x/net/http2"
)

// floods are the modes of the research's driver: what one unit is. i counts from 0; the first may open a stream.
var floods = []struct {
	name string
	unit func(c *client, i int)
}{
	{"F58 rapid reset", func(c *client, i int) {
		c.ask(uint32(2*i+1), true, "GET", "/hello")
		c.framer.WriteRSTStream(uint32(2*i+1), h2.ErrCodeCancel)
	}},
	{"F59 window overflow", func(c *client, i int) {
		c.ask(uint32(2*i+1), false, "POST", "/slow")
		c.framer.WriteWindowUpdate(uint32(2*i+1), 1<<31-1)
	}},
	{"F59 window update of zero", func(c *client, i int) {
		c.ask(uint32(2*i+1), false, "POST", "/slow")
		c.framer.WriteWindowUpdate(uint32(2*i+1), 0)
	}},
	{"F59 data after the end", func(c *client, i int) {
		c.ask(uint32(2*i+1), true, "GET", "/slow")
		c.framer.WriteData(uint32(2*i+1), true, []byte("x"))
	}},
	{"F59 headers after the end", func(c *client, i int) {
		c.ask(uint32(2*i+1), true, "GET", "/slow")
		c.ask(uint32(2*i+1), true, "GET", "/slow")
	}},
	{"F59 priority of four bytes", func(c *client, i int) {
		c.ask(uint32(2*i+1), true, "GET", "/slow")
		c.framer.WriteRawFrame(h2.FramePriority, 0, uint32(2*i+1), make([]byte, 4))
	}},
	{"F59 priority on itself", func(c *client, i int) {
		c.ask(uint32(2*i+1), true, "GET", "/slow")
		c.framer.WritePriority(uint32(2*i+1), h2.PriorityParam{StreamDep: uint32(2*i + 1)})
	}},
	{"F59 length that lies", func(c *client, i int) {
		c.ask(uint32(2*i+1), false, "POST", "/slow", "content-length", "1")
		c.framer.WriteData(uint32(2*i+1), true, []byte("xx"))
	}},
	{"F60 continuation", func(c *client, i int) {
		if i == 0 {
			c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(":method", "GET")})
		}
		c.framer.WriteContinuation(1, false, c.fields("a", strings.Repeat("b", 100)))
	}},
	{"F60 continuation of no bytes", func(c *client, i int) {
		if i == 0 {
			c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(":method", "GET")})
		}
		c.framer.WriteContinuation(1, false, nil)
	}},
	{"F61 ping", func(c *client, i int) { c.framer.WritePing(false, [8]byte{}) }},
	{"F61 settings", func(c *client, i int) {
		c.framer.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 70000})
	}},
	{"F61 empty data", func(c *client, i int) {
		if i == 0 {
			c.ask(1, false, "POST", "/slow")
		}
		c.framer.WriteData(1, false, nil)
	}},
	{"F61 priority", func(c *client, i int) { c.framer.WritePriority(uint32(2*i+1), h2.PriorityParam{Weight: 7}) }},
	{"F61 window updates", func(c *client, i int) { c.framer.WriteWindowUpdate(0, 1) }},
	{"F61 unknown frames", func(c *client, i int) { c.framer.WriteRawFrame(0x5a, 0, 0, nil) }},
	{"F61 headers of no bytes", func(c *client, i int) {
		c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: []byte{0, 0, 0}, EndStream: true, EndHeaders: true})
	}},
	{"F62 settings of 2,700 entries", func(c *client, i int) {
		if i%100 == 0 {
			c.framer.WriteRawFrame(h2.FrameSettings, 0, 0, make([]byte, 6*2700))
		}
	}},
	{"F63 bomb", func(c *client, i int) {
		if i%100 == 0 {
			block := append(bytes.Clone(c.fields("bomb", strings.Repeat("x", 3000))), bytes.Repeat([]byte{0xbe}, 12000)...)
			c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block, EndStream: true, EndHeaders: true})
		}
	}},
	{"F66 streams", func(c *client, i int) { c.ask(uint32(2*i+1), false, "POST", "/slow") }},
	{"F68 goaway", func(c *client, i int) {
		if i == 0 {
			c.ask(1, false, "POST", "/slow")
		}
		c.framer.WriteGoAway(0, h2.ErrCodeNo, nil)
	}},
	{"F58 reset of large answers", func(c *client, i int) {
		c.ask(uint32(2*i+1), true, "GET", "/big")
		c.framer.WriteRSTStream(uint32(2*i+1), h2.ErrCodeCancel)
	}},
	{"F58 reset over and over", func(c *client, i int) {
		if i == 0 {
			c.ask(1, true, "GET", "/slow")
		}
		c.framer.WriteRSTStream(1, h2.ErrCodeCancel)
	}},
	{"F59 bodies that are too long", func(c *client, i int) {
		c.ask(uint32(2*i+1), false, "POST", "/slow", "content-length", "3")
		c.framer.WriteData(uint32(2*i+1), false, []byte("abcd"))
	}},
	{"F59 heads that are malformed", func(c *client, i int) { c.ask(uint32(2*i+1), true, "GET", "/slow", "connection", "close") }},
	{"F61 priority updates", func(c *client, i int) {
		c.framer.WriteRawFrame(0x10, 0, 0, append([]byte{0, 0, byte(2 * i >> 8), byte(2*i) | 1}, "u=1, i"...))
	}},
	{"F61 settings with all streams open", func(c *client, i int) {
		if i < 100 {
			c.ask(uint32(2*i+1), false, "POST", "/slow")
			return
		}
		c.framer.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: uint32(i)})
	}},
	{"F61 acknowledgements of settings", func(c *client, i int) { c.framer.WriteSettingsAck() }},
	{"F61 acknowledgements of pings", func(c *client, i int) { c.framer.WritePing(true, [8]byte{}) }},
	{"F61 padding alone", func(c *client, i int) {
		if i == 0 {
			c.ask(1, false, "POST", "/slow")
		}
		c.framer.WriteRawFrame(h2.FrameData, h2.FlagDataPadded, 1, append([]byte{3}, 0, 0, 0))
	}},
	{"F61 a byte at a time", func(c *client, i int) {
		if i == 0 {
			c.ask(1, false, "POST", "/slow")
		}
		c.framer.WriteData(1, false, []byte("x"))
	}},
	{"F61 a byte at a time, answered", func(c *client, i int) {
		if i == 0 {
			c.ask(1, false, "POST", "/hello")
		}
		c.framer.WriteData(1, false, []byte("x"))
	}},
	{"F61 a byte at a time, to a stream that was reset", func(c *client, i int) {
		if i == 0 {
			c.ask(1, false, "POST", "/slow", "content-length", "1")
		}
		c.framer.WriteData(1, false, []byte("xy"))
	}},
	{"F61 window updates of a stream", func(c *client, i int) {
		if i == 0 {
			c.ask(1, false, "POST", "/slow")
		}
		c.framer.WriteWindowUpdate(1, 1)
	}},
	{"F63 table size updates", func(c *client, i int) {
		block := bytes.Repeat([]byte{0x20, 0x3f, 0xe1, 0x1f}, 1000)
		block = append(block, c.fields(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/hello")...)
		c.framer.WriteHeaders(h2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block, EndStream: true, EndHeaders: true})
	}},
	{"F65 windows of a byte", func(c *client, i int) {
		if i == 0 {
			c.framer.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 0})
			c.ask(1, true, "GET", "/big")
		}
		c.framer.WriteWindowUpdate(1, 1)
	}},
	{"F65 windows of a byte for many", func(c *client, i int) {
		if i == 0 {
			c.framer.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 0})
			for j := range 100 {
				c.ask(uint32(2*j+1), true, "GET", "/big")
			}
		}
		c.framer.WriteWindowUpdate(uint32(2*(i%100)+1), 1)
	}},
	{"F65 windows that come and go", func(c *client, i int) {
		if i == 0 {
			c.ask(1, true, "GET", "/big")
		}
		c.framer.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: uint32(i) % 2})
	}},
	{"F66 requests that are ended", func(c *client, i int) { c.ask(uint32(2*i+1), true, "GET", "/slow") }},
	{"F66 promises of bodies", func(c *client, i int) { c.ask(uint32(2*i+1), false, "POST", "/slow", "expect", "100-continue") }},
}
