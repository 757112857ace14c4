package main

import (
	"os"
	"sync/atomic"
	"time"

	"edge/mpm"
	"edge/runtime/certs"
	"edge/runtime/config"
)

// around is what a process has around it: the machine, or a control process that does some of it in its place.
type around struct {
	alone   bool                                       // there is no control process: admin, pid file and signals are its own
	open    func(path string) (*os.File, error)        // files that only the control process may open; nil: as any other
	listen  func(l *config.Listen) (fd int, err error) // a listening socket, which is the process's then
	number  int                                        // the child's; 0 where there is but one process
	accepts int64                                      // connections after which it should be replaced (P3); 0: never
	seed    certs.Seed                                 // of session tickets
	own     []byte                                     // the certificate that is made where one is "self-signed"; nil: it makes its own
	cache   string                                     // the directory for compiled modules; "" is none
	user    string                                     // whose rights it has, where not the control process's; for messages
	cells   []*atomic.Uint64                           // where workers say what they do (P8); nil: nobody else looks
	tasks   chan func()                                // what the goroutine that swaps is to do; nil: nothing
}

// single is what is around the one process of --single (P6).
func single(cfg *config.Config) around {
	return around{alone: true, listen: bind, seed: certs.NewSeed(time.Now()), cache: cacheOf(cfg)}
}

// bind opens a listening socket.
func bind(l *config.Listen) (fd int, err error) { return mpm.Listen(l.AddrPort) }

// common is what all children have in common, also those of the edge that takes this one's place: sessions can be resumed with any.
type common struct {
	certs.Seed
	SelfSigned []byte
}

func newCommon() (c common, err error) {
	c.Seed = certs.NewSeed(time.Now())
	c.SelfSigned, err = certs.MakeSelfSigned(time.Now())
	return c, err
}
