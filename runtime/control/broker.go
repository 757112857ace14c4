package control

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"edge/runtime/config"
)

// opensAtOnce bounds the files that are opened for one child at a time; further ones wait.
const opensAtOnce = 16

// Brokered are the files that children have the control process open for them, since the rights to do so are its own: certificates, keys,
// and the access log. The value says whether the file is for appending. Modules, directories and the cache are not among them.
func Brokered(cfg *config.Config) map[string]bool {
	files := map[string]bool{}
	for i := range cfg.Certificates {
		c := &cfg.Certificates[i]
		files[c.Certificate], files[c.Key], files[c.ClientCA] = false, false, false
	}
	for i := range cfg.Upstreams {
		for _, path := range cfg.Upstreams[i].TLS.Files() {
			files[path] = false
		}
	}
	files[cfg.Log.Access] = true
	for _, none := range [...]string{"", "self-signed", "stdout", "stderr", "off"} {
		delete(files, none)
	}
	return files
}

// OpenBrokered opens a file as a child is given it. It does not wait for the reader of a FIFO, nor for its writer.
func OpenBrokered(path string, append bool) (*os.File, error) {
	if append {
		return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	}
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// open answers a child that wants a file: one that its configuration names, or one that is being prepared in its generation.
func (c *Control) open(ch *child, m *Message) {
	answer := &Message{Kind: OpenedKind, ID: m.ID}
	append, known := c.brokered(ch.gen, m.What)
	if !known {
		answer.Error = fmt.Sprintf("%s: the configuration does not name it", m.What)
		_ = ch.link.Send(answer)
		return
	}
	f, err := c.options.Open(m.What, append)
	if err == nil {
		defer f.Close()
		answer.Files = []*os.File{f}
	} else if answer.Error = err.Error(); !errors.As(err, &answer.Errno) {
		answer.Errno = 0
	}
	_ = ch.link.Send(answer)
}

func (c *Control) brokered(g *generation, path string) (append, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if append, known = Brokered(g.cfg)[path]; !known && g.next != nil {
		append, known = Brokered(g.next)[path]
	}
	return append, known
}
