package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"edge/runtime/accesslog"
	"edge/runtime/certs"
	"edge/runtime/config"
	"edge/runtime/metrics"
	"edge/runtime/server"
	"edge/runtime/wire"
)

// tlsPart is what the TLS listeners of a process share, whatever certificates they have.
type tlsPart struct {
	tickets    *certs.Tickets
	handshakes *wire.Handshakes
	stop       chan struct{} // ends the look-out for changed files; nil where there is none. Of start, and then of the goroutine that swaps
}

var authKinds = map[string]certs.Auth{"": certs.AuthNone, "optional": certs.AuthOptional, "required": certs.AuthRequired}

// openCerts reads and checks all certificates, with what is around the process, for a store in place of old, which may be nil; told is as
// certs.Open has it.
func openCerts(cfg *config.Config, old *certs.Store, a *around, told func(string, error)) (*certs.Store, config.Problems) {
	sources := make([]certs.Source, len(cfg.Certificates))
	for i, c := range cfg.Certificates {
		sources[i] = certs.Source{
			Name: c.Name, Certificate: c.Certificate, Key: c.Key, ClientCA: c.ClientCA, Auth: authKinds[c.ClientAuth], Open: a.open, Own: a.own,
		}
	}
	if old == nil {
		old = new(certs.Store)
	}
	store, errs := old.Next(sources, time.Now, told)
	var problems config.Problems
	for i, err := range errs {
		var wrong *certs.Problem
		if errors.As(err, &wrong) {
			problems = append(problems, cfg.Problem([]any{"certificates", sources[i].Name, wrong.Key}, certRemedies[wrong.Key], "%v", wrong))
		}
	}
	return store, problems
}

var certRemedies = map[string]string{
	"certificate": "it should be PEM: the certificate first, then those that lead to a root",
	"key":         "it should be the PEM private key of that certificate, without a password",
	"client_ca":   "it should be PEM certificates",
	"ca":          "it should be PEM certificates",
}

// upstreamTLS reads what an upstream's servers are spoken to with; nil where none speaks TLS.
func upstreamTLS(cfg *config.Config, u *config.Upstream, open certs.Opener) (*tls.Config, config.Problems) {
	if !slices.ContainsFunc(u.Servers, func(s config.UpstreamServer) bool { return s.Address.TLS }) {
		return nil, nil
	}
	c, err := certs.Client(certs.ClientSource{
		CA: u.TLS.CA, Certificate: u.TLS.Certificate, Key: u.TLS.Key, Insecure: u.TLS.Insecure, Open: open,
	})
	var wrong *certs.Problem
	if errors.As(err, &wrong) {
		return nil, config.Problems{cfg.Problem([]any{"upstreams", u.Name, "tls", wrong.Key}, certRemedies[wrong.Key], "%v", wrong)}
	}
	return c, nil
}

// certWarnings are about certificates that can be used, but clients will refuse.
func certWarnings(cfg *config.Config, store *certs.Store, now time.Time) (list config.Problems) {
	for _, c := range store.Certificates() {
		at := []any{"certificates", c.Name(), "certificate"}
		switch {
		case now.After(c.Expires()):
			list = append(list, cfg.Warn(at, "renew it", "expired on %s", c.Expires().UTC().Format(time.RFC3339)))
		case now.Before(c.Begins()):
			list = append(list, cfg.Warn(at, "", "is not valid before %s", c.Begins().UTC().Format(time.RFC3339)))
		case len(c.Names()) == 0:
			list = append(list, cfg.Warn(at, "clients look at subject alternative names only", "is good for no name"))
		}
	}
	return list
}

// certWarningsOf are those of what a process serves.
func certWarningsOf(p *process) config.Problems {
	g := p.live.Load()
	return certWarnings(g.cfg, g.certs, time.Now())
}

// checkCerts reads and checks the certificates for the check verb.
func checkCerts(cfg *config.Config) (problems, warnings config.Problems) {
	store, problems := openCerts(cfg, nil, new(around), nil)
	for i := range cfg.Upstreams {
		_, wrong := upstreamTLS(cfg, &cfg.Upstreams[i], nil)
		problems = append(problems, wrong...)
	}
	if len(problems) > 0 {
		problems.Sort()
		return problems, nil
	}
	return nil, certWarnings(cfg, store, time.Now())
}

func newTLSPart(seed certs.Seed) *tlsPart {
	return &tlsPart{tickets: certs.NewTickets(seed, time.Now), handshakes: new(wire.Handshakes)}
}

// follow follows the files of a store's certificates, in place of those of the store before.
func (t *tlsPart) follow(store *certs.Store) {
	t.close()
	if len(store.Certificates()) > 0 {
		t.stop = make(chan struct{})
		go store.Run(t.stop)
	}
}

// close ends that.
func (t *tlsPart) close() {
	if t.stop != nil {
		close(t.stop)
		t.stop = nil
	}
}

func (p *process) certChanged(name string, err error) {
	if err != nil {
		p.log.Error("a changed certificate is not used", accesslog.Str("certificate", name), accesslog.Str("error", err.Error()))
		return
	}
	p.log.Info("a certificate was renewed", accesslog.Str("certificate", name))
}

// refusedEvery is the least time between two lines about one upstream's failed TLS handshakes.
const refusedEvery = time.Second

// upstreamRefused is what a pool tells of TLS handshakes that failed. Any worker may call it.
func (p *process) upstreamRefused(pool string) func(server string, err error) {
	var last atomic.Int64
	return func(server string, err error) {
		now := time.Now().UnixNano()
		if was := last.Load(); now-was >= int64(refusedEvery) && last.CompareAndSwap(was, now) {
			p.log.Warn("a TLS handshake with an upstream failed", accesslog.Str("upstream", pool), accesslog.Str("server", server),
				accesslog.Str("error", err.Error()))
		}
	}
}

var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// entry is what the server is to know of a listener.
func (p *process) entry(l *config.Listen, store *certs.Store) *server.Entry {
	e := &server.Entry{HTTP2: slices.Contains(l.Protocols, "h2c"), NoHTTP1: !slices.Contains(l.Protocols, "http/1.1")}
	if len(l.Certificates) > 0 {
		e.Handshakes = p.tls.handshakes
		e.Certificates = store.Set(l.Certificates, certs.Options{
			Protocols: l.Protocols, MinVersion: tlsVersions[l.MinTLS], Tickets: p.tls.tickets,
		})
	}
	return e
}

func (p *process) tlsNumbers() metrics.TLS {
	c := p.tls.handshakes.Counts()
	n := metrics.TLS{
		Handshakes: []metrics.Count{{Label: "full", N: c.Full}, {Label: "resumed", N: c.Resumed}},
		InProgress: c.InProgress, Waiting: c.Waiting, Waited: c.Waited, Violations: c.Violations,
	}
	for reason, count := range c.Failed {
		n.Handshakes = append(n.Handshakes, metrics.Count{Label: reason, N: count})
	}
	for _, s := range p.live.Load().certs.Status() {
		n.Certificates = append(n.Certificates, metrics.Certificate{
			Name: s.Name, Expires: s.Expires, Reloads: []metrics.Count{{Label: "renewed", N: s.Renewed}, {Label: "failed", N: s.Failed}},
		})
	}
	return n
}

// schemeOf is how a listener's address is written.
func schemeOf(l *config.Listen) string {
	if len(l.Certificates) > 0 {
		return fmt.Sprintf("https://%s", l.Address)
	}
	return fmt.Sprintf("http://%s", l.Address)
}

// clientFiles are those that upstreams are spoken TLS with.
func clientFiles(cfg *config.Config) (paths []string) {
	for i := range cfg.Upstreams {
		for _, path := range cfg.Upstreams[i].TLS.Files() {
			if path != "" {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// renewClients has upstreams spoken TLS with as their files are now: their pools are made anew from the same configuration. Where anything is
// wrong the ones before go on.
func (p *process) renewClients() {
	old := p.live.Load()
	cfg := *old.cfg
	next, problems := p.build(&cfg, old, func(string) bool { return false })
	switch {
	case len(problems) > 0:
		for _, problem := range problems {
			p.log.Error("a changed file of an upstream is not used", accesslog.Str("problem", problem.String()))
		}
	case p.draining.Load():
		next.discard(old)
	default:
		next.site.Configure(p.serverOptions(&cfg))
		p.swap(next)
		p.log.Info("the certificates that upstreams are spoken TLS with were renewed")
	}
}
