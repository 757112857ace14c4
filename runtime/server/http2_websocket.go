package server

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"strings"

	"edge/filters/message"
	"edge/runtime/upstream"
)

// A WebSocket over HTTP/2 has no key (RFC 8441 section 5.1); an origin that speaks HTTP/1.1 wants one, and shows by its answer that it
// knows the protocol (RFC 6455 sections 4.1 and 4.2.2). Between the two edge is the client, and has to look (U92).

const (
	websocketKey  = "sec-websocket-key"
	websocketSays = "sec-websocket-accept"
)

// offerWebSocket puts a key into a request for one.
func (st *stream) offerWebSocket(req *message.Request, r *rand.PCG) {
	if !strings.EqualFold(req.Upgrade, "websocket") {
		return
	}
	var nonce [16]byte
	binary.LittleEndian.PutUint64(nonce[:8], r.Uint64())
	binary.LittleEndian.PutUint64(nonce[8:], r.Uint64())
	key := base64.StdEncoding.EncodeToString(nonce[:])
	req.Header.Set(websocketKey, key)
	st.accept = upstream.WebSocketAccept(key)
}

// takesWebSocket says whether a 101 answers the key, and takes the answer out: the client has asked for none.
func (st *stream) takesWebSocket(resp *message.Response) bool {
	fits := st.accept == [28]byte{} || resp.Header.Value(websocketSays) == string(st.accept[:])
	resp.Header.Delete(websocketSays)
	return fits
}
