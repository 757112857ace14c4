package main

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"edge/mpm"
	"edge/runtime/config"
	"edge/runtime/files"
	"edge/runtime/metrics"
	"edge/runtime/route"
	"edge/runtime/server"
	"edge/runtime/upstream"
)

// site is a server.Site with what has to be closed after it.
type site struct {
	site  *server.Site
	pools map[string]*upstream.Pool
	roots []*files.Action
}

func (s *site) close() {
	for _, r := range s.roots {
		r.Close()
	}
	for _, p := range s.pools {
		p.Close()
	}
}

// buildSite makes routes, upstreams and file roots of a configuration. Where there are problems nothing is left open.
func buildSite(cfg *config.Config, set *filterSet, m *metrics.Set, pollers int) (*site, config.Problems) {
	s := &site{pools: map[string]*upstream.Pool{}}
	var problems config.Problems
	for i := range cfg.Upstreams {
		pool, wrong := buildPool(cfg, &cfg.Upstreams[i], pollers)
		problems = append(problems, wrong...)
		s.pools[cfg.Upstreams[i].Name] = pool
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
			root, err := files.Open(files.Options{
				Root: r.Files.Root, Strip: r.Files.Strip, Index: r.Files.Index, Precompressed: r.Files.Precompressed,
			})
			if err != nil {
				problems = append(problems, cfg.Problem([]any{"routes", i, "files", "root"}, "", "%v", err))
				continue
			}
			s.roots = append(s.roots, root)
			a.Files = root
		default:
			a.Pool = s.pools[r.Upstream]
		}
	}
	if len(problems) > 0 {
		for _, r := range s.roots {
			r.Close()
		}
		problems.Sort()
		return nil, problems
	}
	s.site = server.NewSite(routes, s.pools, m)
	return s, nil
}

var balances = map[string]upstream.Balance{
	"round_robin": upstream.RoundRobin, "least_requests": upstream.LeastRequests, "random2": upstream.Random2, "hash": upstream.Hash,
}

func buildPool(cfg *config.Config, u *config.Upstream, pollers int) (*upstream.Pool, config.Problems) {
	o := upstream.Options{
		Name: u.Name, Balance: balances[u.Balance.Kind], HashHeader: u.Balance.Header, Keepalive: u.Keepalive,
		ConnectTimeout: u.ConnectTimeout, ResponseTimeout: u.ResponseTimeout, BodyTimeout: cfg.Server.Timeout,
		Retries: u.Retries, Pollers: pollers, Random: rand.Uint64,
	}
	var problems config.Problems
	for i, s := range u.Servers {
		a, err := resolve(s.Address)
		if err != nil {
			problems = append(problems, cfg.Problem([]any{"upstreams", u.Name, "servers", i}, "check the name, or use an IP address", "%v", err))
			continue
		}
		o.Servers = append(o.Servers, upstream.ServerOptions{Label: s.Address.String(), Address: a, Weight: s.Weight})
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
