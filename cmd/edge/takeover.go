package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"edge/runtime/accesslog"
	"edge/runtime/control/upgrade"
	"edge/runtime/metrics"
)

// upgrades is what has become of attempts to have another binary take over.
type upgrades struct {
	binary string // the path that edge was started by
	hangup chan struct{}
	asked  chan chan *upgraded // each has room for the answer
	taken  chan *upgrade.Successor

	mu    sync.Mutex // guards what follows
	count map[string]int
}

func newUpgrades(before *upgrade.Predecessor) upgrades {
	binary, err := upgrade.Itself()
	if err != nil {
		binary = os.Args[0]
	}
	count := map[string]int{upgradeDone: 0, upgradeFailed: 0, upgradeRefused: 0}
	if before != nil {
		maps.Copy(count, before.State.Upgrades)
	}
	return upgrades{binary: binary, hangup: make(chan struct{}, 1), asked: make(chan chan *upgraded, 1), taken: make(chan *upgrade.Successor, 1), count: count}
}

func (u *upgrades) note(result string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count[result]++
}

// results are how many upgrades have ended in which way, in this process and in those whose place was taken on the way to it.
func (u *upgrades) results() map[string]int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.count)
}

func (u *upgrades) numbers() (list []metrics.Count) {
	results := u.results()
	for _, result := range []string{upgradeDone, upgradeFailed, upgradeRefused} {
		list = append(list, metrics.Count{Label: result, N: uint64(results[result])})
	}
	return list
}

// hangUp asks for an upgrade and does not wait for it.
func (u *upgrades) hangUp() {
	select {
	case u.hangup <- struct{}{}:
	default:
	}
}

// refused is the outcome of an upgrade that has not been tried.
func (u *upgrades) refused(why string) *upgraded {
	u.note(upgradeRefused)
	return &upgraded{Time: time.Now().UTC(), Result: upgradeRefused, Binary: u.binary, Problems: []string{why}}
}

// askUpgrade is admin.Options.Upgrade.
func (c *controlled) askUpgrade(ctx context.Context) (any, int) {
	answer := make(chan *upgraded, 1)
	select {
	case c.upgrades.asked <- answer:
	default:
		return c.upgrades.refused("another upgrade is asked for already; try again later"), http.StatusServiceUnavailable
	}
	select {
	case o := <-answer:
		switch o.Result {
		case upgradeDone:
			return o, http.StatusOK
		case upgradeFailed:
			return o, http.StatusUnprocessableEntity
		}
		return o, http.StatusServiceUnavailable
	case <-c.reloads.stop:
		return c.upgrades.refused("edge is stopping"), http.StatusServiceUnavailable
	case <-ctx.Done():
		return c.upgrades.refused("it takes too long, and goes on; see the log"), http.StatusServiceUnavailable
	}
}

// cannotUpgrade is why no upgrade is tried; "": one is.
func (c *controlled) cannotUpgrade() string {
	switch {
	case os.Getpid() == 1:
		return "edge is process 1, with which everything in its container ends: start a container with the new binary, and drain this one"
	case c.gone.Load():
		return "another edge has taken over already; ask again"
	case c.notReady.Load():
		return "edge drains; start the new binary instead"
	}
	return ""
}

// upgrade starts the binary and has it take over, when it serves. Where that fails nothing has changed. It runs on the goroutine of takeUp,
// so that no reload comes between.
func (c *controlled) upgrade() *upgraded {
	began, u := time.Now(), &c.upgrades
	if why := c.cannotUpgrade(); why != "" {
		c.log.Error("no upgrade is tried", accesslog.Str("why", why))
		return u.refused(why)
	}
	c.log.Info("a new binary is started to take over", accesslog.Str("binary", u.binary))
	o := &upgraded{Result: upgradeFailed, Binary: u.binary}
	s, err := c.succeed()
	if err == nil {
		o.Result, o.Version, o.PID = upgradeDone, s.Version, s.PID()
	} else {
		o.Problems = strings.Split(err.Error(), "\n")
	}
	took := time.Since(began)
	o.Time, o.TookMS = time.Now().UTC(), float64(took.Microseconds())/1000
	u.note(o.Result)
	if err != nil {
		for _, problem := range o.Problems {
			c.log.Error(problem)
		}
		c.log.Error("the new binary does not take over, this edge goes on", accesslog.Str("binary", u.binary), accesslog.Dur("took", took))
		return o
	}
	c.log.Info("a new binary has taken over", accesslog.Str("version", s.Version), accesslog.Int("pid", s.PID()), accesslog.Dur("took", took))
	c.gone.Store(true)
	u.taken <- s
	return o
}

// succeed has another process serve and take over.
func (c *controlled) succeed() (*upgrade.Successor, error) {
	p := upgrade.Plan{Path: c.upgrades.binary, Args: os.Args[1:], Env: append(os.Environ(), c.inherited.service.Environ()...)}
	for _, l := range c.control.Listeners() {
		p.Files = append(p.Files, upgrade.File{Name: l.Name, FD: l.FD})
	}
	if c.admin != nil {
		fd, err := c.admin.Socket()
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		p.Files = append(p.Files, upgrade.File{Name: adminPrefix + adminAddress(c.started.Server.Admin), FD: fd})
	}
	state := &upgrade.State{Secret: c.secret(), Upgrades: c.upgrades.results()}
	state.Upgrades[upgradeDone]++ // as it will be where this is read
	state.Number, state.Generation = c.control.Last()
	s, err := upgrade.Start(p, state, c.ending)
	if err != nil {
		return nil, err
	}
	if err := s.Take(); err != nil {
		if wrong := writePid(c.started); wrong != nil { // it may have written its own
			c.log.Warn(wrong.Error())
		}
		return nil, err
	}
	c.told(c.inherited.service.MainPID(s.PID()))
	c.told(c.inherited.service.Barrier(barrierTime))
	s.Named()
	return s, nil
}

// barrierTime bounds what is waited for the service manager to hear of another process.
const barrierTime = 5 * time.Second

// leave ends this process, whose place another has taken: its children finish what they have. The new one may have them be quicker.
func (c *controlled) leave(next *upgrade.Successor, s signals) error {
	left := make(chan bool, 1)
	go func() {
		finished := c.control.Leave(c.config().Server.ShutdownTimeout)
		<-c.inherited.before.Gone() // it can be told to stop as long as this process is there
		left <- finished
	}()
	if c.admin != nil {
		c.admin.HandOver()
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		c.admin.Close(ctx)
		cancel()
	}
	hurry := make(chan time.Duration, 1)
	go func() {
		if within, asked := next.Stop(); asked {
			hurry <- within
		}
		for _, asked := next.Stop(); asked; _, asked = next.Stop() {
			s.end() // may be taken for the first, in place of what hurries
			s.end()
		}
	}()
	var err error
	select {
	case finished := <-left:
		if !finished {
			err = &status{exitForced, errors.New("another edge has taken over, and not everything was finished")}
		}
	case <-s.ends:
		err = c.stop(s, c.config().Server.ShutdownTimeout)
	case within := <-hurry:
		err = c.stop(s, within)
	}
	next.Ended(err == nil)
	return err
}
