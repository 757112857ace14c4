package files

import (
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"edge/filters/message"
)

// allow is the value of the allow field (RFC 9110 section 10.2.1).
const allow = "GET, HEAD, OPTIONS"

// suffixRoom is what may be appended to a resolved name: an index name, a sidecar's suffix and NUL.
const suffixRoom = 255 + 4 + 1

// Serve answers req: it fills resp, which must be freshly reset, and f, which must hold nothing, where there is a body
// to send. It makes system calls on files but never touches a socket, and allocates nothing once resp has its memory.
//
// Answers: 200, 206, 304, 412 and 416 as RFC 9110 section 13.2.2 orders them; 204 to OPTIONS and 405 to other methods;
// 308 to a directory's path without its closing slash, with the query kept; 400 for a malformed path; 404 for what is
// not there or not to be served; 403 where the process may not read it; 500 and 503 where the system fails.
func (a *Action) Serve(req *message.Request, resp *message.Response, f *File) {
	switch req.Method {
	case "GET", "HEAD":
	case "OPTIONS":
		resp.Status, resp.Bodiless = 204, true
		resp.Header.AddView("allow", allow)
		return
	default:
		resp.Status = 405
		resp.Header.AddView("allow", allow)
		return
	}
	resp.Bodiless = req.Method == "HEAD"

	var buf [MaxPath]byte
	name, bare, v := a.resolve(req.Path(), buf[:MaxPath-suffixRoom])
	switch v {
	case invalid:
		resp.Status = 400
		return
	case missing:
		resp.Status = 404
		return
	}
	if bare {
		redirect(req, resp)
		return
	}
	name, file, errno := a.lookUp(name)
	if errno != 0 {
		resp.Status = statusOf(errno)
		return
	}
	if file.isDir {
		unix.Close(file.fd)
		redirect(req, resp)
		return
	}

	var want wanted
	want.read(&req.Header)
	kind := typeOf(name)
	coding := identity
	if a.precompressed && !kind.packed && want.acceptEncoding {
		coding = a.sidecar(&req.Header, name, &file)
	}
	a.answer(req, resp, f, &want, &file, kind.value, coding)
}

// lookUp opens what a name stands for: the file, the directory (to be redirected), or, for a name that ends in a
// slash, the first index file there. It returns the name of what it has opened.
func (a *Action) lookUp(name []byte) ([]byte, found, unix.Errno) {
	if len(name) > 0 && name[len(name)-1] != '/' {
		file, errno := a.stat(name)
		return name, file, errno
	}
	for _, index := range a.index {
		inside := append(name, index...)
		file, errno := a.stat(inside)
		switch {
		case errno == 0 && !file.isDir:
			return inside, file, 0
		case errno == 0:
			unix.Close(file.fd)
		case statusOf(errno) != 404:
			return name, found{}, errno
		}
	}
	return name, found{}, unix.ENOENT
}

// answer decides the head for an open file, which it hands to f or closes.
func (a *Action) answer(req *message.Request, resp *message.Response, f *File, want *wanted, file *found, kind string, coding coding) {
	var etagBuf [maxETag]byte
	etag := appendETag(etagBuf[:0], file, coding)
	var dateBuf [len(httpDate)]byte
	var date []byte
	if a.dated(file.sec) {
		date = appendDate(dateBuf[:0], file.sec)
	}

	h := &resp.Header
	switch want.judge(&req.Header, etag, date, file.sec) {
	case preconditionFailed:
		unix.Close(file.fd)
		resp.Status = 412
		return
	case notModified:
		unix.Close(file.fd)
		resp.Status, resp.Bodiless, resp.Length = 304, true, message.UnknownLength
		h.AddView("etag", h.Keep(view(etag)))
		a.vary(h)
		return
	}

	span := part{0, file.size}
	resp.Status = 200
	if req.Method == "GET" && want.rangeApplies(etag, date) {
		switch p, outcome := parseRange(want.ranges.value, file.size); outcome {
		case partial:
			span = p
			resp.Status = 206
			addContentRange(h, p, file.size)
		case unsatisfiable:
			unix.Close(file.fd)
			resp.Status = 416
			addContentRange(h, part{}, file.size)
			h.AddView("accept-ranges", "bytes")
			return
		}
	}
	resp.Length = span.length
	h.AddView("content-type", kind)
	if coding != identity {
		h.AddView("content-encoding", coding.name())
	}
	h.AddView("etag", h.Keep(view(etag)))
	if date != nil {
		h.AddView("last-modified", h.Keep(view(date)))
	}
	h.AddView("accept-ranges", "bytes")
	a.vary(h)

	if resp.Bodiless || span.length == 0 {
		unix.Close(file.fd)
		return
	}
	*f = File{fd: file.fd + 1, Offset: span.start, Length: span.length}
}

// vary tells caches what the choice among sidecars hangs on (RFC 9110 section 12.5.5), whether or not there was one.
func (a *Action) vary(h *message.Fields) {
	if a.precompressed {
		h.AddView("vary", "accept-encoding")
	}
}

// dated says whether a modification time can be told to the client: RFC 9110 section 8.8.2.1 forbids one later than
// the response itself, and the epoch stands for a file without any.
func (a *Action) dated(sec int64) bool {
	if sec <= 0 {
		return false
	}
	if sec <= a.seen.Load() {
		return true
	}
	now := a.now().Unix()
	a.seen.Store(now)
	return sec <= now
}

// redirect sends the client to the same path with a slash after it. The path cannot lead to another host: resolve has
// refused one that begins with two slashes or holds a backslash.
func redirect(req *message.Request, resp *message.Response) {
	var buf [512]byte
	path := req.Path()
	to := append(buf[:0], path...)
	to = append(to, '/')
	to = append(to, req.Target[len(path):]...)
	if !message.ValidValue(view(to)) {
		resp.Status = 400
		return
	}
	resp.Status = 308
	resp.Header.AddView("location", resp.Header.Keep(view(to)))
}

// addContentRange adds the field (RFC 9110 section 14.4); the zero part stands for an unsatisfiable range.
func addContentRange(h *message.Fields, p part, size int64) {
	var buf [len("bytes -/") + 3*20]byte
	b := append(buf[:0], "bytes "...)
	if p == (part{}) {
		b = append(b, '*')
	} else {
		b = strconv.AppendInt(b, p.start, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, p.start+p.length-1, 10)
	}
	b = append(b, '/')
	b = strconv.AppendInt(b, size, 10)
	h.AddView("content-range", h.Keep(view(b)))
}

// view is b as a string that shares its bytes, for calls that copy what they are given.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
