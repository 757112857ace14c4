package main

import (
	"time"

	"edge/runtime/accesslog"
	"edge/runtime/certs"
	"edge/runtime/config"
)

// edition is everything that serves one configuration with one set of modules. It does not change: another takes its place,
// built from the same stuff where that has not changed.
type edition struct {
	cfg     *config.Config
	filters *filterSet
	site    *site
	certs   *certs.Store
	clients *certs.Files // that upstreams are spoken TLS with. The goroutine that swaps looks at them
}

// build makes the edition of a configuration beside the one that runs, which it leaves as it is: old, or nil. fresh says of which
// filters the module's file is to be read; of the others it is the one that old has. Where there are problems nothing is left
// running that was not before.
func (p *process) build(cfg *config.Config, old *edition, fresh func(filter string) bool) (*edition, config.Problems) {
	if old == nil {
		old = &edition{}
	}
	set, problems := startFilters(cfg, p.host, old.filters, fresh)
	if len(problems) > 0 {
		return nil, problems
	}
	clients := old.clients
	if cfg != old.cfg {
		clients = certs.NewFiles(p.around.open, clientFiles(cfg)...)
	}
	s, problems := buildSite(cfg, set, old.site, cfg == old.cfg, p.metrics, p.pollers(), p.around.open, p.upstreamRefused)
	store := old.certs
	if cfg != old.cfg {
		var wrong config.Problems
		store, wrong = openCerts(cfg, old.certs, &p.around, p.certChanged)
		problems = append(problems, wrong...)
	}
	if len(problems) > 0 {
		before := old.filters
		if before == nil {
			before = &filterSet{}
		}
		retireAll(set.beyond(before))
		if s != nil {
			s.closeBeyond(orEmpty(old.site))
		}
		problems.Sort()
		return nil, problems
	}
	return &edition{cfg, set, s, store, clients}, nil
}

func orEmpty(s *site) *site {
	if s == nil {
		return &site{}
	}
	return s
}

// discard gives up an edition that was built beside the one that runs and is not to serve.
func (g *edition) discard(runs *edition) {
	retireAll(g.filters.beyond(runs.filters))
	g.site.closeBeyond(runs.site)
}

// bindTime bounds the wait for the last stream of a site that was replaced. It takes microseconds; what a worker's panic has left
// behind must not hold up all further swaps.
const bindTime = 5 * time.Second

// swap puts an edition in place of the one that runs. No request is lost or mixed by it: each goes on with the edition it began
// with. What the old one does not share with the new goes when nobody uses it any more: the guests when their last stream has
// ended, pools and roots when the last exchange has. The goroutine that swaps is the only one to do so.
func (p *process) swap(next *edition) {
	old := p.live.Load()
	gone := old.filters.beyond(next.filters)
	p.retired.keep(old.site)
	p.retired.instead(gone, func() { p.live.Store(next) })
	if next.cfg != old.cfg {
		p.adopt(next)
	}
	was := p.server.SetSite(next.site.Site)
	late := time.NewTimer(bindTime)
	defer late.Stop()
	select {
	case <-was.Bound():
	case <-late.C:
		p.log.Warn("a request that began before the swap has not come to its filters", accesslog.Dur("waited", bindTime))
	}
	for _, g := range gone {
		g.Retire()
		go p.retired.gone(g)
	}
	go p.closeLater(old.site)
}

// closeLater closes what nobody has any more once the last exchange of a replaced site is over.
func (p *process) closeLater(old *site) {
	<-old.Ended()
	for _, shut := range p.retired.closable(old, func() *site { return p.live.Load().site }) {
		shut()
	}
}

// close ends everything, when the engine has stopped.
func (g *edition) close() {
	g.site.closeBeyond(&site{})
	retireAll(g.filters.guests)
}
