package server

import (
	"syscall"

	"edge/filters"
	"edge/mpm"
	"edge/runtime/files"
	"edge/runtime/route"
	"edge/runtime/wire"
)

// allowed are the methods of Allow where no route says more.
const allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// noRoute answers a request that no route takes: locally where it is about the server itself, else with 404, or with 405 where
// another method would have been taken.
func (x *exchange) noRoute() {
	x.flags |= flagAction
	if x.req.Target == "*" { // T34: the codec lets it through with OPTIONS only
		x.resp.Status, x.resp.Length = 204, 0
		x.resp.Bodiless = true
		x.resp.Header.AddView("allow", allowed)
		x.chain.ResponseHead(true)
		return
	}
	var buf [256]byte
	if allow := x.site.table.Allow(buf[:0], &x.req); len(allow) > 0 {
		x.answer(405, "NR", "no route for this method", [2]string{"allow", string(allow)})
		return
	}
	switch x.req.Method {
	case "TRACE", "CONNECT": // T35, T36: a route has to name them
		x.answer(405, "NR", "no route for this method", [2]string{"allow", allowed})
		return
	}
	x.answer(404, "NR", "no route")
}

// reply pushes a response whose body is at hand into the chain.
func (x *exchange) reply(body []byte) {
	resp := &x.resp
	resp.Length = int64(len(body))
	switch {
	case x.req.Method == "HEAD" || resp.Status == 204 || resp.Status == 304:
		resp.Bodiless = true
		if resp.Status == 204 {
			resp.Length = 0
		}
		x.chain.ResponseHead(true)
	case len(body) == 0:
		x.chain.ResponseHead(true)
	default:
		x.chain.ResponseHead(false)
		x.rest = body
		x.stepReply()
	}
}

// replyReady says that the body of a fixed answer can go on: the filters have let the head go.
func (x *exchange) replyReady() bool { return len(x.rest) > 0 && x.chain.Accepts(filters.Response) }

// stepReply pushes it then. Until then, a lane may be busy, the chain does not take it.
func (x *exchange) stepReply() {
	if x.replyReady() {
		body := x.rest
		x.rest = nil
		x.chain.ResponseBody(body, true)
	}
}

// respond is the action that answers with a fixed response.
func (x *exchange) respond(r *route.Respond) {
	x.resp.Status = r.Status
	for i := range r.Header {
		x.resp.Header.Add(r.Header[i].Name, r.Header[i].Value)
	}
	x.reply(r.Body)
}

// redirect is the action that sends the client elsewhere.
func (x *exchange) redirect(r *route.Redirect) {
	var buf [512]byte
	location := r.AppendLocation(buf[:0], &x.req, x.route.Rest(x.req.Path()))
	x.resp.Status = r.Status
	x.resp.Header.Add("location", string(location))
	x.reply(nil)
}

// serveFile is the action that serves a directory. A small file goes out with its head in one write; a larger one is sent by
// the kernel, or read in pieces where a filter looks at it.
func (x *exchange) serveFile(a *files.Action) {
	a.Serve(&x.req, &x.resp, &x.file)
	if x.file.FD() < 0 {
		x.chain.ResponseHead(true)
		return
	}
	x.chain.ResponseHead(false) // the body follows when the connection advances
}

// fileReady says that the file can go on without anybody's help.
func (x *exchange) fileReady() bool {
	return x.file.FD() >= 0 && x.chain.Accepts(filters.Response) && x.to.pending() < fileWater && !x.sends()
}

// sends says that the kernel is to send the file, and waits for the client to take more of it.
func (x *exchange) sends() bool {
	return x.file.FD() >= 0 && !x.conn.c.Writable() && x.chain.Accepts(filters.Response) && x.kernelSends()
}

// kernelSends says that nobody looks at the file's bytes, and that they are too many to gather.
func (x *exchange) kernelSends() bool {
	return x.file.Length > wire.Gather && x.chain.Passes(filters.Response) && x.to.direct()
}

// stepFile sends what the client takes of the file, a turn's share at a time.
func (x *exchange) stepFile() {
	for sent := 0; x.file.FD() >= 0 && sent < turnBytes; {
		if !x.chain.Accepts(filters.Response) || x.to.pending() >= fileWater {
			return
		}
		n, ok := x.filePiece()
		if !ok {
			return
		}
		sent += n
	}
}

// filePiece moves one piece and says whether to go on.
func (x *exchange) filePiece() (n int, ok bool) {
	cn, f := x.conn, &x.file
	if x.kernelSends() {
		return x.sendfile()
	}
	n, err := f.ReadAt(cn.t.In[:min(int64(len(cn.t.In)), f.Length)], f.Offset)
	if err != nil || n == 0 {
		x.shortFile()
		return 0, false
	}
	f.Offset += int64(n)
	f.Length -= int64(n)
	end := f.Length == 0
	if end {
		f.Close()
	}
	x.chain.ResponseBody(cn.t.In[:n], end)
	return n, !end
}

// sendfile has the kernel send what the socket takes.
func (x *exchange) sendfile() (n int, ok bool) {
	cn, f := x.conn, &x.file
	cn.flushOut()
	if cn.wire.Pending() > 0 || cn.wire.Failed() || !cn.c.Writable() {
		return 0, false
	}
	n, err := cn.c.Sendfile(f.FD(), &f.Offset, int(min(f.Length, turnBytes)))
	f.Length -= int64(n)
	x.replyOut += int64(n)
	switch {
	case err == mpm.ErrAgain:
		return n, false
	case err == syscall.EPIPE || err == syscall.ECONNRESET:
		x.clientGone()
		return n, false
	case err != nil:
		x.shortFile()
		return n, false
	case f.Length == 0:
		f.Close()
		x.responseEnd()
		return n, false
	}
	return n, true
}

// shortFile cuts off an answer whose file has become shorter, or cannot be read.
func (x *exchange) shortFile() {
	x.file.Close()
	x.fail("LF", "the file could not be read to its end")
	x.flags |= flagAborted
}
