package http2

import (
	"slices"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"edge/filters/message"
)

// TestAppendConnect: RFC 8441 sections 4 and 5.1. What HTTP/1.1 needs for an upgrade is not in it, and nothing can be written into it.
func TestAppendConnect(t *testing.T) {
	ask := func(change func(*message.Request)) ([]string, error) {
		req := &message.Request{Method: "GET", Authority: "a:1", Target: "/chat?x=y"}
		for _, f := range [][2]string{{"sec-websocket-key", "k"}, {"sec-websocket-version", "13"}, {"connection", "upgrade"},
			{"upgrade", "websocket"}, {"host", "b"}, {"content-length", "3"}, {"te", "trailers"}, {"x-a", "b\r\nc"}, {"origin", "http://o"}} {
			req.Header.Add(f[0], f[1])
		}
		protocol := "websocket"
		if change != nil {
			change(req)
			protocol = req.Upgrade
		}
		block, err := AppendConnect(nil, req, protocol, "https")
		fields, decodes := hpack.NewDecoder(4096, nil).DecodeFull(block)
		if decodes != nil {
			t.Fatal(decodes)
		}
		var list []string
		for _, f := range fields {
			list = append(list, f.Name+"="+f.Value)
		}
		return list, err
	}
	got, err := ask(nil)
	want := []string{":method=CONNECT", ":protocol=websocket", ":scheme=https", ":authority=a:1", ":path=/chat?x=y",
		"sec-websocket-version=13", "origin=http://o"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	for name, change := range map[string]func(*message.Request){
		"protocol":  func(r *message.Request) { r.Upgrade = "a b" },
		"target":    func(r *message.Request) { r.Upgrade, r.Target = "websocket", "/ \r\n" },
		"asterisk":  func(r *message.Request) { r.Upgrade, r.Target = "websocket", "*" },
		"authority": func(r *message.Request) { r.Upgrade, r.Authority = "websocket", "a b" },
	} {
		if got, err := ask(change); err == nil || len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestClientTunnel: a server says that it takes extended CONNECT; what follows a 2xx is the protocol's, whatever length it declares.
func TestClientTunnel(t *testing.T) {
	for _, c := range []struct{ name, status, log string }{
		{"2xx", "200", "1 head 200 length=-1 bodiless=false end=false content-length=2; 1 data 5 false; 1 data 3 true"},
		{"refused", "403", "1 head 403 length=2 bodiless=false end=false content-length=2; " +
			"1 reset PROTOCOL_ERROR body is not as long as content-length"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newClientRig(t)
			if r.client.Connects() {
				t.Error("before the server has said so")
			}
			r.WriteSettings(h2.Setting{ID: h2.SettingEnableConnectProtocol, Val: 1})
			r.WriteSettingsAck()
			r.feed(5)
			if !r.client.Connects() {
				t.Fatal("the setting is not heard")
			}
			block, err := AppendConnect(nil, &message.Request{Authority: "a", Target: "/"}, "websocket", "http")
			if err != nil {
				t.Fatal(err)
			}
			s := &Stream{Response: new(message.Response)}
			r.client.OpenTunnel(s, block)
			r.say(1, false, ":status", c.status, "content-length", "2")
			r.WriteData(1, false, []byte("hello"))
			r.WriteData(1, true, []byte("bye"))
			if bad := r.feed(1 << 10); bad != nil {
				t.Fatal(bad)
			}
			if log := strings.Join(r.log, "; "); log != c.log {
				t.Errorf("it was told\n%s\nnot\n%s", log, c.log)
			}
		})
	}
	r := newClientRig(t)
	r.WriteSettings(h2.Setting{ID: h2.SettingEnableConnectProtocol, Val: 2})
	if bad := r.feed(5); bad == nil {
		t.Error("a setting of 2 is taken")
	}
}
