package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"

	"edge/runtime/certs"
	"edge/runtime/config"
	"edge/runtime/files"
	"edge/runtime/metrics"
	"edge/runtime/route"
	"edge/runtime/server"
	"edge/runtime/upstream"
)

// site is a server.Site with what it stands on, by what that is made of. It does not change.
type site struct {
	*server.Site
	pools map[string]*upstream.Pool
	roots map[string]root
	keys  map[string]string // of the pools, by the upstream's name
	found found
}

// root is an open directory and what was known of it when it was opened.
type root struct {
	*files.Action
	is os.FileInfo // may be nil
}

// closeBeyond closes what other does not have too.
func (s *site) closeBeyond(other *site) {
	for key, r := range s.roots {
		if other.roots[key].Action != r.Action {
			r.Close()
		}
	}
	for key, p := range s.pools {
		if other.pools[key] != p {
			p.Close()
		}
	}
}

// buildSite makes routes, upstreams and file roots of a configuration. What old has made of the same stuff is used again, kept
// connections and counters included; old may be nil. same says that old is of this very configuration: its directories stay open
// whatever has become of their names. refused makes upstream.Options.Refused of a pool. Where there are problems nothing that was made
// here is left open.
func buildSite(cfg *config.Config, set *filterSet, old *site, same bool, m *metrics.Set, pollers int,
	open certs.Opener, refused func(pool string) func(server string, err error)) (*site, config.Problems) {
	if old == nil {
		old = &site{}
	}
	s := &site{pools: map[string]*upstream.Pool{}, roots: map[string]root{}, keys: map[string]string{}, found: old.found}
	var problems config.Problems
	if !same {
		s.found, problems = findServers(cfg, old.found)
	}
	named := map[string]*upstream.Pool{}
	for i := range cfg.Upstreams {
		u := &cfg.Upstreams[i]
		key := old.keys[u.Name]
		if !same {
			l := &cfg.Limits
			key = fmt.Sprintf("%+v %s %d %d %v %x", *u, cfg.Server.Timeout, l.HeaderBytes, l.HeaderCount, s.found.of(u), tlsFiles(u, open))
		}
		pool := old.pools[key]
		if pool == nil {
			var wrong config.Problems
			before := old.pools[old.keys[u.Name]]
			pool, wrong = buildPool(cfg, u, s.found, before, pollers, open, refused(u.Name))
			problems = append(problems, wrong...)
		}
		s.pools[key], s.keys[u.Name], named[u.Name] = pool, key, pool
	}
	routes := make([]server.Route, len(cfg.Routes))
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		routes[i] = server.Route{Name: r.Name, Match: matchOf(r), Filters: set.chains[i]}
		a := &routes[i].Action
		switch {
		case r.Respond != nil:
			a.Respond = respondOf(r.Respond)
		case r.Redirect != nil:
			a.Redirect = &route.Redirect{To: r.Redirect.To, Status: r.Redirect.Status}
		case r.Files != nil:
			action, err := s.root(old, same, r.Files)
			if err != nil {
				problems = append(problems, cfg.Problem([]any{"routes", i, "files", "root"}, "", "%v", err))
				continue
			}
			a.Files = action
		default:
			a.Pool = named[r.Upstream]
		}
	}
	if len(problems) > 0 {
		s.closeBeyond(old)
		problems.Sort()
		return nil, problems
	}
	s.Site = server.NewSite(routes, named, m)
	return s, nil
}

// root opens a directory, unless it is open. One that another has taken the place of is opened anew.
func (s *site) root(old *site, same bool, c *config.Files) (*files.Action, error) {
	key := fmt.Sprintf("%+v", *c)
	is, err := os.Stat(c.Root)
	if known, ok := s.roots[key]; ok {
		return known.Action, nil
	}
	if known, ok := old.roots[key]; ok && (same || err == nil && os.SameFile(is, known.is)) {
		s.roots[key] = known
		return known.Action, nil
	}
	made, err := files.Open(files.Options{Root: c.Root, Strip: c.Strip, Index: c.Index, Precompressed: c.Precompressed})
	if err == nil {
		s.roots[key] = root{made, is}
	}
	return made, err
}

var balances = map[string]upstream.Balance{
	"round_robin": upstream.RoundRobin, "least_requests": upstream.LeastRequests, "random2": upstream.Random2, "hash": upstream.Hash,
}

// buildPool makes the pool of an upstream, which goes on with the counts of the one before, if any.
func buildPool(cfg *config.Config, u *config.Upstream, known found, before *upstream.Pool, pollers int, open certs.Opener,
	refused func(string, error),
) (*upstream.Pool, config.Problems) {
	o := upstream.Options{
		Name: u.Name, Balance: balances[u.Balance.Kind], HashHeader: u.Balance.Header, Keepalive: u.Keepalive,
		ConnectTimeout: u.ConnectTimeout, ResponseTimeout: u.ResponseTimeout, BodyTimeout: cfg.Server.Timeout,
		StreamTimeout: u.StreamTimeout,
		Retries:       u.Retries, Pollers: pollers, Random: rand.Uint64, Refused: refused,
		HTTP2: u.HTTP2, HeaderBytes: int(cfg.Limits.HeaderBytes), HeaderCount: cfg.Limits.HeaderCount,
	}
	if before != nil {
		o.Stats = before.Stats()
	}
	secure, problems := upstreamTLS(cfg, u, open)
	for i := range u.Servers {
		s := &u.Servers[i]
		a, err := address(s.Address, known)
		if err != nil {
			problems = append(problems, cfg.Problem([]any{"upstreams", u.Name, "servers", i}, "", "%v", err))
		}
		if a == nil {
			continue
		}
		so := upstream.ServerOptions{Label: s.Address.String(), Address: a, Weight: s.Weight, H2C: s.Address.H2C}
		if s.Address.TLS && secure != nil {
			so.TLS = secure.Clone()
			if so.TLS.ServerName = u.TLS.ServerName; so.TLS.ServerName == "" {
				so.TLS.ServerName, _, _ = net.SplitHostPort(s.Address.Addr)
			}
		}
		o.Servers = append(o.Servers, so)
	}
	return upstream.NewPool(o), problems
}
