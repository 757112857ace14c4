package main

import (
	"context"
	"crypto/sha256"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"edge/mpm"
	"edge/runtime/certs"
	"edge/runtime/config"
)

// Bounds of looking up the names of servers, at the start and at each reload.
const (
	resolveTime = 5 * time.Second // of one name
	resolvers   = 32              // names at a time
)

// found is where the servers of upstreams are, by the address as written; those on Unix sockets are not in it.
type found map[string]netip.AddrPort

// of is where the servers of one upstream are.
func (f found) of(u *config.Upstream) (list []netip.AddrPort) {
	for i := range u.Servers {
		list = append(list, f[u.Servers[i].Address.Addr])
	}
	return list
}

// findServers looks up the names of all servers. One that still has the address that old knows stays there, in whatever order
// the answer lists its addresses.
func findServers(cfg *config.Config, old found) (found, config.Problems) {
	type answer struct {
		at  netip.AddrPort
		err error
	}
	answers := map[string]*answer{}
	var all sync.WaitGroup
	slots := make(chan struct{}, resolvers)
	for i := range cfg.Upstreams {
		for _, s := range cfg.Upstreams[i].Servers {
			name := s.Address.Addr
			if s.Address.Network == "unix" || answers[name] != nil {
				continue
			}
			a := new(answer)
			answers[name] = a
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				a.at, a.err = resolve(name, old[name])
			})
		}
	}
	all.Wait()
	f := found{}
	var problems config.Problems
	for i := range cfg.Upstreams {
		u := &cfg.Upstreams[i]
		for k, s := range u.Servers {
			switch a := answers[s.Address.Addr]; {
			case s.Address.Network == "unix":
			case a.err != nil:
				at := []any{"upstreams", u.Name, "servers", k}
				problems = append(problems, cfg.Problem(at, "check the name, or use an IP address", "%v", a.err))
			default:
				f[s.Address.Addr] = a.at
			}
		}
	}
	return f, problems
}

// resolve looks up one name and port. Where preferred is among its addresses, it is that.
func resolve(name string, preferred netip.AddrPort) (at netip.AddrPort, err error) {
	if ap, err := netip.ParseAddrPort(name); err == nil {
		return ap, nil
	}
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		return at, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTime)
	defer cancel()
	n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return at, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return at, err
	}
	ip := ips[0].Unmap()
	if slices.ContainsFunc(ips, func(ip netip.Addr) bool { return ip.Unmap() == preferred.Addr() }) {
		ip = preferred.Addr()
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}

// address is a server's, for the engine; nil where it was not found, which is a problem already.
func address(a config.Address, known found) (*mpm.Address, error) {
	if a.Network == "unix" {
		return mpm.Unix(a.Addr)
	}
	at, ok := known[a.Addr]
	if !ok {
		return nil, nil
	}
	return mpm.TCP(at), nil
}

// tlsFiles tells whether what an upstream speaks TLS with is what it was. Who reads the files next says what is wrong with them.
func tlsFiles(u *config.Upstream, open certs.Opener) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, path := range u.TLS.Files() {
		var one [sha256.Size]byte
		if path != "" {
			data, _ := certs.ReadFile(open, path)
			one = sha256.Sum256(data)
		}
		h.Write(one[:])
	}
	h.Sum(sum[:0])
	return sum
}
