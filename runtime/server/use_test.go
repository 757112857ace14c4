package server

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edge/filters"
	"edge/runtime/metrics"
	"edge/runtime/route"
)

// siteOf is a site that answers everything with a text, behind some filters.
func siteOf(text string, list ...filters.Filter) *Site {
	return NewSite([]Route{{Name: "all", Filters: list, Action: Action{Respond: &route.Respond{Status: 200, Body: []byte(text)}}}},
		nil, metrics.New("test"))
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// TestReplacedSite: an exchange that is under way goes on with the site it began with; the next one takes the new site.
func TestReplacedSite(t *testing.T) {
	var held atomic.Pointer[filters.Exchange]
	f := &fake{name: "f", wants: filters.OnRequestHead, head: func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
		held.Store(&x)
		return filters.Pause
	}}
	b := grow(t, plot{filters: []filters.Filter{f}, routes: []Route{{Name: "old", Filters: []filters.Filter{f},
		Action: Action{Respond: &route.Respond{Status: 200, Body: []byte("old")}}}}})
	c := dial(t, b.addr)
	c.say(get)
	if !within(patience, func() bool { return held.Load() != nil }) {
		t.Fatal("the filter has not seen the request")
	}
	old := b.server.SetSite(siteOf("new"))
	if !within(patience, func() bool { return closed(old.Bound()) }) {
		t.Error("the old site is not bound to its streams")
	}
	other := dial(t, b.addr)
	for range 3 {
		other.say(get)
		other.want("GET", 200, "new")
	}
	if closed(old.Ended()) {
		t.Error("the old site has ended under an exchange")
	}
	(*held.Load()).Continue(filters.Request)
	c.want("GET", 200, "old")
	if !within(patience, func() bool { return closed(old.Ended()) }) {
		t.Error("the old site has not ended")
	}
	c.say(get)
	c.want("GET", 200, "new")
}

// version is a filter that must not be asked for streams once it is retired.
type version struct {
	*fake
	late    *atomic.Int64
	retired atomic.Bool
}

func (v *version) NewStream(x filters.Exchange) (filters.Stream, bool) {
	if v.retired.Load() {
		v.late.Add(1)
	}
	return v.fake.NewStream(x)
}

// TestW109SitesReplacedUnderLoad: whatever the moment, no exchange is bound to what has been retired, and every site ends.
func TestW109SitesReplacedUnderLoad(t *testing.T) {
	var late atomic.Int64
	make := func(n int) (*version, *Site) {
		v := &version{fake: &fake{name: "f", wants: filters.OnResponseHead}, late: &late}
		v.head = func(x filters.Exchange, _ filters.Direction, _ bool) filters.Action {
			x.Response().Header.Set("x-version", fmt.Sprint(n))
			return filters.Continue
		}
		return v, siteOf("hello", v)
	}
	b := grow(t, plot{})
	v, site := make(0)
	var sites []*Site
	b.server.SetSite(site)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		c := dial(t, b.addr)
		wg.Go(func() {
			for !stop.Load() && !t.Failed() {
				c.SetDeadline(time.Now().Add(patience))
				c.say(get)
				c.want("GET", 200, "hello")
			}
		})
	}
	for n := range 300 {
		next, site := make(n + 1)
		old := b.server.SetSite(site)
		select {
		case <-old.Bound():
		case <-time.After(patience):
			t.Fatalf("site %d is never bound", n)
		}
		v.retired.Store(true)
		v, sites = next, append(sites, old)
	}
	stop.Store(true)
	wg.Wait()
	if n := late.Load(); n > 0 {
		t.Errorf("%d streams were asked of retired filters", n)
	}
	for n, old := range sites {
		if !within(patience, func() bool { return closed(old.Ended()) }) {
			t.Fatalf("site %d has not ended", n)
		}
	}
}
