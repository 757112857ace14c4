package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"edge/runtime/accesslog"
	"edge/runtime/config"
	"edge/runtime/control/sockets"
	"edge/runtime/control/systemd"
	"edge/runtime/control/upgrade"
)

// adminPrefix begins the name of the admin server's socket among those that a new edge inherits; its address follows.
const adminPrefix = "admin "

// inheritance is what a control process has been given at its start, by the service manager or by the edge whose place it takes.
type inheritance struct {
	service *systemd.Service
	before  *upgrade.Predecessor // nil: nobody's place is taken
	sockets sockets.Set
	admin   *os.File // the admin server's socket; nil: none
	address string   // of it
	stale   string   // the path of that socket where the configuration has another now
	unfit   []string // what cannot be used, to be warned of
}

// inherit takes what is there. Its error is that this process was to take an edge's place that has gone.
func inherit() (h *inheritance, err error) {
	h = &inheritance{}
	var unfit []error
	h.service, unfit = systemd.Take(&h.sockets)
	for _, err := range unfit {
		h.unfit = append(h.unfit, err.Error())
	}
	if h.before, err = upgrade.Inherit(version()); h.before == nil {
		return h, err
	}
	for _, f := range h.before.Files {
		if address, ok := strings.CutPrefix(f.Name, adminPrefix); ok {
			h.admin, h.address = os.NewFile(uintptr(f.FD), f.Name), address
		} else if err := h.sockets.Add(f.FD, f.Name); err != nil {
			h.unfit = append(h.unfit, err.Error())
		}
	}
	return h, nil
}

// adopt finds the sockets of a configuration's listeners and closes the others, so that they are in nobody's way. The result has those
// that are there, by address and port.
func (h *inheritance) adopt(cfg *config.Config) map[string]int {
	taken := map[string]int{}
	for i := range cfg.Listen {
		if fd, ok := h.sockets.TakeTCP(cfg.Listen[i].AddrPort); ok {
			taken[cfg.Listen[i].AddrPort.String()] = fd
		}
	}
	if a := cfg.Server.Admin; h.admin == nil && a.Network == "unix" {
		if fd, ok := h.sockets.TakeUnix(a.Addr); ok {
			h.admin, h.address = os.NewFile(uintptr(fd), a.Addr), adminAddress(a)
		}
	}
	for _, left := range h.sockets.CloseRest() {
		if h.before != nil {
			continue // the configuration before had it
		}
		stored, err := h.service.ForgetStored(left.Name)
		if err != nil {
			h.unfit = append(h.unfit, err.Error())
		}
		if !stored {
			h.unfit = append(h.unfit, fmt.Sprintf("a socket that was handed over is not used, no [[listen]] has its address: %s (%s)", left.What, left.Name))
		}
	}
	return taken
}

// adminSocket is the socket for an address of the admin server, or nil. The caller closes it.
func (h *inheritance) adminSocket(address string) *os.File {
	f := h.admin
	h.admin = nil
	if f != nil && h.address != address {
		f.Close()
		if path, ok := strings.CutPrefix(h.address, "unix:"); ok {
			h.stale = path
		}
		return nil
	}
	return f
}

// tidy removes the socket of an admin server that has moved, when nobody answers there any more but the edge whose place was taken.
func (h *inheritance) tidy() {
	if h.before != nil && h.stale != "" {
		os.Remove(h.stale)
	}
}

// common is what all children have in common: the same as in the edge whose place is taken, so that sessions are resumed.
func (h *inheritance) common() (all common, err error) {
	if h.before == nil || json.Unmarshal(h.before.State.Secret, &all) != nil || all.SelfSigned == nil {
		return newCommon()
	}
	return all, nil
}

// failed tells the edge whose place is not taken why.
func (h *inheritance) failed(err error) {
	var problems config.Problems
	texts := []string{err.Error()}
	if errors.As(err, &problems) {
		texts = nil
		for _, p := range problems {
			texts = append(texts, p.String())
		}
	}
	h.before.Failed(texts)
}

// told notes what could not be told to the service manager.
func (c *controlled) told(err error) {
	if err != nil {
		c.log.Warn(err.Error())
	}
}

// served tells the service manager what serves now.
func (c *controlled) served(cfg *config.Config, also string) {
	text := "serves " + listenNames(cfg)
	if c.notReady.Load() {
		text = "draining"
	}
	if also != "" {
		text += "; " + also
	}
	c.told(c.inherited.service.Ready(text))
}

// keepListeners has the service manager keep the listening sockets over a restart, and forget those that are no more.
func (c *controlled) keepListeners() {
	s := c.inherited.service
	if !s.Notified() {
		return
	}
	kept := map[string]bool{}
	for _, f := range c.control.Listeners() {
		kept[f.Name] = true
		if c.kept[f.Name] {
			continue
		}
		c.told(s.Keep(f.Name, f.FD))
	}
	for _, name := range slices.Sorted(maps.Keys(c.kept)) {
		if !kept[name] {
			c.told(s.Forget(name))
		}
	}
	c.kept = kept
}

// watchdog tells the service manager again and again, to the end of the process, that the control process is not stuck: it says so while the
// state of the children can be looked at, and until another has taken over.
func (c *controlled) watchdog() {
	s := c.inherited.service
	if s.Watchdog() <= 0 {
		return
	}
	again := time.NewTicker(s.Watchdog())
	defer again.Stop()
	for failed := false; !c.gone.Load(); {
		c.control.Numbers()
		err := s.Alive()
		if err != nil && !failed {
			c.log.Warn("the watchdog cannot be told that edge lives", accesslog.Err(err))
		}
		failed = err != nil
		<-again.C
	}
}
