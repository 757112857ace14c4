package upstream

import (
	"crypto/tls"
	"errors"
	"io"

	"edge/mpm"
	"edge/runtime/wire"
)

// link is a connection to a server, with TLS or without. It belongs to the leg that uses it, and between two of them to the shelf: it is
// the State of its socket.
type link struct {
	sock   *mpm.Socket
	server *Server
	config *tls.Config // nil where the server speaks no TLS
	tls    wire.Stream // not used where the server speaks no TLS
	up     bool        // the socket is connected
}

// errHandshake says that a TLS handshake has failed; the server's Options.Refused has been told why.
var errHandshake = errors.New("upstream: the TLS handshake failed")

// connect goes on with the connect and the handshake: mpm.ErrAgain while they are under way. Without scratch nothing is read yet.
func (k *link) connect(scratch []byte) error {
	if !k.up {
		if err := k.sock.Connected(); err != nil {
			return err
		}
		k.up = true
		if k.config != nil {
			k.tls.Client(k.config)
		}
	}
	if k.config == nil {
		return nil
	}
	k.tls.Flush(k.sock)
	switch done, _, err := k.tls.Handshake(k.sock, nil, 0, scratch); {
	case err != nil:
		if k.server.refused != nil {
			k.server.refused(k.server.label, err)
		}
		return errHandshake
	case !done:
		return mpm.ErrAgain
	}
	return nil
}

// readable says whether read may find something.
func (k *link) readable() bool {
	return k.sock.Readable() || k.up && k.tls.Secure() && k.tls.Readable(k.sock)
}

// read reads once, into the front of scratch, which under TLS is of mpm.ScratchBytes. An end that is not in order is
// io.ErrUnexpectedEOF.
func (k *link) read(scratch []byte) (data []byte, err error) {
	if k.tls.Secure() {
		data, err = k.tls.Read(k.sock, scratch)
		k.tls.Keep(nil)
	} else {
		n, failed := k.sock.Read(scratch)
		data, err = scratch[:n], failed
	}
	if err == mpm.ErrAgain && k.sock.Ready()&mpm.Broken != 0 {
		err = io.ErrUnexpectedEOF
	}
	return data, err
}

// write writes what can be taken now. Under TLS that is all, or nothing while what was written before has not left.
func (k *link) write(p []byte) (int, error) {
	if !k.tls.Secure() {
		if !k.sock.Writable() {
			return 0, mpm.ErrAgain
		}
		return k.sock.Write(p)
	}
	if err := k.flush(); err != nil {
		return 0, err
	}
	if k.tls.Send(k.sock, p, nil); k.tls.Failed() {
		return 0, errGone
	}
	return len(p), nil
}

// flush writes what TLS has made of earlier writes: mpm.ErrAgain while some of it is left.
func (k *link) flush() error {
	switch done, err := k.tls.Flush(k.sock); {
	case err != nil:
		return err
	case !done:
		return mpm.ErrAgain
	}
	return nil
}

// closeWrite ends what is sent, in order, behind what was written; it is called once that has left.
func (k *link) closeWrite() {
	k.tls.Bye(k.sock)
	k.sock.CloseWrite()
}

// close closes the connection. Its owner calls it: the leg, or the shelf that keeps it.
func (k *link) close() {
	k.tls.Reset()
	k.sock.Close()
}
