package certs

import (
	"crypto/tls"
	"slices"
	"strings"
	"sync/atomic"
)

// Set is the certificates of one listener: it picks one by the name that a client asks for. They can be replaced at any time;
// handshakes that have begun, and connections, keep the one they have.
type Set struct {
	options Options
	config  *tls.Config
	table   atomic.Pointer[table]
}

// Options are what the certificates of a listener have in common.
type Options struct {
	Protocols  []string // by ALPN, the most wanted first: "h2", "http/1.1"
	MinVersion uint16   // tls.VersionTLS12, tls.VersionTLS13
	Tickets    *Tickets
}

// table is one generation of a set. It never changes, but for the keys in its entries.
type table struct {
	first *entry
	exact map[string]*entry
	wild  map[string]*entry // by what follows the asterisk
}

// entry is a certificate as one listener uses it.
type entry struct {
	*Certificate
	config *tls.Config
	keys   atomic.Int64 // the number of the keys that config has
}

// NewSet makes the set of a listener. The first certificate, of at least one, is for clients that name none, or one that no certificate is
// good for; where several are good for a name, the first is taken, and a name counts before a wildcard. Those that are for the very same
// names and ask the same of clients are one with several keys.
func NewSet(list []*Certificate, o Options) *Set {
	s := &Set{options: o}
	s.config = &tls.Config{MinVersion: o.MinVersion, NextProtos: o.Protocols, GetConfigForClient: s.pick}
	s.Replace(list)
	return s
}

// Config is what servers of the set shake hands with.
func (s *Set) Config() *tls.Config { return s.config }

// Replace has handshakes from now on use other certificates.
func (s *Set) Replace(list []*Certificate) {
	t := &table{exact: map[string]*entry{}, wild: map[string]*entry{}}
	for i, c := range list {
		if same := t.twin(c); same != nil {
			same.config.Certificates = append(same.config.Certificates, c.pair)
			continue
		}
		e := &entry{Certificate: c, config: &tls.Config{
			Certificates: []tls.Certificate{c.pair}, MinVersion: s.options.MinVersion, NextProtos: s.options.Protocols, ClientCAs: c.cas,
		}}
		switch c.auth {
		case AuthOptional:
			e.config.ClientAuth = tls.VerifyClientCertIfGiven
		case AuthRequired:
			e.config.ClientAuth = tls.RequireAndVerifyClientCert
		}
		e.keys.Store(-1)
		e.rekey(s.options.Tickets)
		if i == 0 {
			t.first = e
		}
		for _, name := range c.names {
			into, key := t.exact, name
			if wild, ok := strings.CutPrefix(name, "*"); ok {
				into, key = t.wild, wild
			}
			if into[key] == nil {
				into[key] = e
			}
		}
	}
	s.table.Store(t)
}

// twin is the entry of a certificate for the same names that asks the same of clients: the two differ in their keys, and each client gets
// the first that it can use.
func (t *table) twin(c *Certificate) *entry {
	if len(c.names) == 0 {
		return nil
	}
	e := t.exact[c.names[0]]
	if wild, ok := strings.CutPrefix(c.names[0], "*"); ok {
		e = t.wild[wild]
	}
	if e == nil || e.auth != c.auth || e.authorities != c.authorities || !sameNames(e.names, c.names) {
		return nil
	}
	return e
}

func sameNames(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// rekey gives the entry the present keys of tickets, if it does not have them.
func (e *entry) rekey(t *Tickets) {
	if t.number() == e.keys.Load() {
		return
	}
	keys, number := t.keys(e.group)
	e.config.SetSessionTicketKeys(keys[:])
	e.keys.Store(number)
}

// pick is tls.Config.GetConfigForClient.
func (s *Set) pick(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	e := s.table.Load().find(lower(hello.ServerName))
	e.rekey(s.options.Tickets)
	return e.config, nil
}

// find is the entry for a name in lower case. It does not allocate.
func (t *table) find(name string) *entry {
	if name == "" {
		return t.first
	}
	if e := t.exact[name]; e != nil {
		return e
	}
	if e := t.wild[parent(name)]; e != nil {
		return e
	}
	return t.first
}

// Serves says whether a client that has asked for name in its handshake may ask for host, without a port, over that connection: the
// certificate must be the one that host would have been given, or good for it and ask the same of clients. Else a client that one
// certificate lets in without showing who it is could reach what another guards (RFC 9110 section 7.4, threat T42).
func (s *Set) Serves(name, host string) bool {
	if name == host || host == "" {
		return true
	}
	t := s.table.Load()
	host = lower(strings.TrimSuffix(host, ".")) // a name that is said to be whole
	has, wants := t.find(lower(name)), t.find(host)
	return has == wants || has.covers(host) && has.auth == AuthNone && wants.auth == AuthNone
}

// lower is s in lower case; most clients send it so.
func lower(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}
