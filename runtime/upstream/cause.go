package upstream

import "errors"

// Cause is why a try, and in the end a request, has failed.
type Cause uint8

// The causes.
const (
	NoCause         Cause = iota
	NoServer              // every server has been tried
	ConnectFailed         // the connection was refused, or there is no way there
	ConnectTimeout        // connect_timeout
	Closed                // the server closed or reset before the response was whole
	BadResponse           // what the server sent is not a valid response (threats U81, U82, U85)
	ResponseTimeout       // response_timeout passed before the response's head
	BodyTimeout           // the response's body stopped
	TLSFailed             // the TLS handshake
	Crowded               // too many requests wait for the server's HTTP/2 connections
	BadRequest            // the request, as filters have left it, cannot be written
	NoTunnel              // the server speaks HTTP/2 and takes no WebSockets (RFC 8441)
	Causes          = iota
)

// Status is the status a client gets where nothing has been sent to it yet: 502, 503 and 504 tell the causes apart
// (RFC 9110 sections 15.6.3 to 15.6.5).
func (c Cause) Status() int {
	switch c {
	case NoServer, Crowded:
		return 503
	case ConnectTimeout, ResponseTimeout, BodyTimeout:
		return 504
	case BadRequest:
		return 500
	case NoTunnel:
		return 501
	}
	return 502
}

var causeFlags = [Causes]string{"", "UH", "UF", "UF", "UC", "UP", "UT", "UT", "UF", "UO", "FT", "UP"}

// Flag is the cause in the access log's flags.
func (c Cause) Flag() string { return causeFlags[c] }

var causeNames = [Causes]string{
	"", "no upstream server left to try", "upstream connect failed", "upstream connect timed out", "upstream closed the connection",
	"upstream sent an invalid response", "upstream response timed out", "upstream body timed out", "upstream TLS handshake failed",
	"too many requests wait for the upstream",
	"request not valid after filters", "upstream takes no WebSockets over HTTP/2",
}

var causeLabels = [Causes]string{
	"", "no_server", "connect", "connect_timeout", "closed", "bad_response", "response_timeout", "body_timeout", "tls", "crowded",
	"bad_request", "no_tunnel",
}

// Label is the cause in metrics.
func (c Cause) Label() string { return causeLabels[c] }

// String is the cause in words, for the access log.
func (c Cause) String() string { return causeNames[c] }

// errGone says that the far end of a tunnel is gone.
var errGone = errors.New("upstream: the server is gone")
