package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"edge/mpm"
	"edge/runtime/config"
	"edge/runtime/files"
	"edge/runtime/metrics"
	"edge/runtime/route"
	"edge/runtime/server"
	"edge/runtime/upstream"
)

// site is a server.Site with what it stands on, by what that is made of. It does not change.
type site struct {
	site  *server.Site
	pools map[string]*upstream.Pool
	roots map[string]root
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

// without says whether closeBeyond has anything to do.
func (s *site) without(other *site) bool {
	for key, r := range s.roots {
		if other.roots[key].Action != r.Action {
			return true
		}
	}
	for key, p := range s.pools {
		if other.pools[key] != p {
			return true
		}
	}
	return false
}

// buildSite makes routes, upstreams and file roots of a configuration. What old has made of the same stuff is used again, kept
// connections and counters included; old may be nil. same says that old is of this very configuration: its directories stay open
// whatever has become of their names. refused makes upstream.Options.Refused of a pool. Where there are problems nothing that was made here is left open.
func buildSite(cfg *config.Config, set *filterSet, old *site, same bool, m *metrics.Set, pollers int,
	refused func(pool string) func(server string, err error)) (*site, config.Problems) {
	if old == nil {
		old = &site{}
	}
	s := &site{pools: map[string]*upstream.Pool{}, roots: map[string]root{}}
	named := map[string]*upstream.Pool{}
	var problems config.Problems
	for i := range cfg.Upstreams {
		u := &cfg.Upstreams[i]
		key := fmt.Sprintf("%+v %s", *u, cfg.Server.Timeout)
		pool := old.pools[key]
		if pool == nil {
			var wrong config.Problems
			pool, wrong = buildPool(cfg, u, pollers, refused(u.Name))
			problems = append(problems, wrong...)
		}
		s.pools[key], named[u.Name] = pool, pool
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
	s.site = server.NewSite(routes, named, m)
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

func buildPool(cfg *config.Config, u *config.Upstream, pollers int, refused func(string, error)) (*upstream.Pool, config.Problems) {
	o := upstream.Options{
		Name: u.Name, Balance: balances[u.Balance.Kind], HashHeader: u.Balance.Header, Keepalive: u.Keepalive,
		ConnectTimeout: u.ConnectTimeout, ResponseTimeout: u.ResponseTimeout, BodyTimeout: cfg.Server.Timeout,
		Retries: u.Retries, Pollers: pollers, Random: rand.Uint64, Refused: refused,
		HTTP2: u.HTTP2, HeaderBytes: int(cfg.Limits.HeaderBytes), HeaderCount: cfg.Limits.HeaderCount,
	}
	secure, problems := upstreamTLS(cfg, u)
	for i, s := range u.Servers {
		a, err := resolve(s.Address)
		if err != nil {
			problems = append(problems, cfg.Problem([]any{"upstreams", u.Name, "servers", i}, "check the name, or use an IP address", "%v", err))
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

// resolveTime bounds one look-up of a server's name. Names are looked up once, at the start.
const resolveTime = 5 * time.Second

func resolve(a config.Address) (*mpm.Address, error) {
	if a.Network == "unix" {
		return mpm.Unix(a.Addr)
	}
	if ap, err := netip.ParseAddrPort(a.Addr); err == nil {
		return mpm.TCP(ap), nil
	}
	host, port, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTime)
	defer cancel()
	n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	return mpm.TCP(netip.AddrPortFrom(ips[0].Unmap(), uint16(n))), nil
}
