package certs

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/conformance/pki"
)

// clock is a calendar that a test moves.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

// source writes a pair and says where it is.
func source(t *testing.T, name string, p pki.Pair) Source {
	cert, key := p.Write(t, t.TempDir(), name)
	return Source{Name: name, Certificate: cert, Key: key}
}

func open(t *testing.T, sources ...Source) *Store {
	t.Helper()
	s, errs := Open(sources, time.Now, func(string, error) {})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func names(sources []Source) (list []string) {
	for _, s := range sources {
		list = append(list, s.Name)
	}
	return list
}

func newTickets() *Tickets { return NewTickets(NewSeed(time.Now()), time.Now) }

// shake shakes hands over a socket and returns both ends' states.
func shake(t *testing.T, set *Set, client *tls.Config) (server, seen tls.ConnectionState, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		far <- c
	}()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	there := <-far
	defer there.Close()
	near.SetDeadline(time.Now().Add(10 * time.Second))
	there.SetDeadline(time.Now().Add(10 * time.Second))
	s := tls.Server(there, set.Config())
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			s.Write([]byte("x")) // behind it the client has the tickets
		} else {
			there.Close()
		}
		done <- err
	}()
	c := tls.Client(near, client)
	_, err = c.Read(make([]byte, 1))
	if err != nil {
		near.Close()
	}
	return s.ConnectionState(), c.ConnectionState(), errors.Join(err, <-done)
}

// TestPick: an exact name before a wildcard, a wildcard for one label, the first for all others; letters in either case.
func TestPick(t *testing.T) {
	ca := pki.New(t, "ca")
	sources := []Source{
		source(t, "first", ca.Leaf("first.test")),
		source(t, "wild", ca.Leaf("*.a.test", "a.test")),
		source(t, "exact", ca.Leaf("www.a.test", "10.0.0.1")),
		source(t, "twice", ca.Leaf("*.a.test", "www.a.test", "twice.test")),
	}
	set := open(t, sources...).Set(names(sources), Options{Tickets: newTickets(), MinVersion: tls.VersionTLS12})
	for name, want := range map[string]string{
		"first.test": "first", "a.test": "wild", "b.a.test": "wild", "www.a.test": "exact", "WWW.A.Test": "exact", "c.b.a.test": "first",
		"unknown.test": "first", "twice.test": "twice", "": "first", ".a.test": "first", "test": "first", "x.": "first",
	} {
		e := set.table.Load().find(lower(name))
		if e.Name() != want {
			t.Errorf("%q gets %s, want %s", name, e.Name(), want)
		}
	}
	_, seen, err := shake(t, set, &tls.Config{RootCAs: ca.Pool(), ServerName: "z.a.test"})
	if err != nil || seen.PeerCertificates[0].Subject.CommonName != "*.a.test" {
		t.Errorf("%v, %v", seen.PeerCertificates, err)
	}
	if n := testing.AllocsPerRun(100, func() {
		set.table.Load().find("b.a.test")
		set.Serves("www.a.test", "b.a.test")
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestTwins: of certificates for the same names each client gets the first that it can use; those that ask something else of clients, or
// are for other names, are none of them.
func TestTwins(t *testing.T) {
	ca := pki.New(t, "ca")
	guarded := source(t, "guarded", ca.RSA("a.test", "*.a.test"))
	guarded.ClientCA, guarded.Auth = filepath.Join(t.TempDir(), "ca.pem"), AuthRequired
	pki.Put(t, guarded.ClientCA, ca.PEM())
	sources := []Source{
		source(t, "ecdsa", ca.Leaf("*.a.test", "a.test")), guarded, source(t, "other", ca.RSA("a.test")), source(t, "rsa", ca.RSA("a.test", "*.a.test")),
	}
	set := open(t, sources...).Set(names(sources), Options{Tickets: newTickets(), MinVersion: tls.VersionTLS12})
	for name, suites := range map[string][]uint16{
		"ECDSA": {tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		"RSA":   {tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	} {
		_, seen, err := shake(t, set, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.test", MaxVersion: tls.VersionTLS12, CipherSuites: suites})
		if err != nil {
			t.Error(err)
		} else if leaf := seen.PeerCertificates[0]; leaf.PublicKeyAlgorithm.String() != name || len(leaf.DNSNames) != 2 {
			t.Errorf("%s: %s for %v", name, leaf.PublicKeyAlgorithm, leaf.DNSNames)
		}
	}
	if got := len(set.table.Load().first.config.Certificates); got != 2 {
		t.Errorf("%d certificates are one", got)
	}
}

// TestT42Serves: over a connection a client may ask for the hosts of its certificate, but for what another guards.
func TestT42Serves(t *testing.T) {
	ca := pki.New(t, "ca")
	guarded := source(t, "guarded", ca.Leaf("guarded.test", "both.test"))
	guarded.ClientCA, guarded.Auth = filepath.Join(t.TempDir(), "ca.pem"), AuthRequired
	pki.Put(t, guarded.ClientCA, ca.PEM())
	sources := []Source{
		source(t, "first", ca.Leaf("first.test", "*.shared.test")),
		source(t, "second", ca.Leaf("www.shared.test", "second.test")),
		guarded,
		source(t, "later", ca.Leaf("later.test", "both.test")),
	}
	set := open(t, sources...).Set(names(sources), Options{Tickets: newTickets(), MinVersion: tls.VersionTLS12})
	for _, c := range []struct {
		name, host string
		want       bool
	}{
		{"first.test", "first.test", true},
		{"first.test", "First.TEST", true},
		{"first.test", "second.test", false},
		{"second.test", "second.test.", true},
		{"first.test", "second.test.", false},
		{"first.test", "x.shared.test", true},
		{"first.test", "www.shared.test", true}, // another is for it, but this one is good for it, and neither guards
		{"second.test", "www.shared.test", true},
		{"second.test", "x.shared.test", false},
		{"first.test", "unknown.test", true}, // what has no certificate is the first's
		{"unknown.test", "other.test", true},
		{"second.test", "unknown.test", false},
		{"", "first.test", true},
		{"", "second.test", false},
		{"", "guarded.test", false},
		{"first.test", "guarded.test", false},
		{"guarded.test", "guarded.test", true},
		{"guarded.test", "first.test", false},
		{"later.test", "both.test", false}, // good for it, but the other one guards it
		{"guarded.test", "both.test", true},
		{"first.test", "", true},
	} {
		if got := set.Serves(c.name, c.host); got != c.want {
			t.Errorf("%q over %q: %v", c.host, c.name, got)
		}
	}
}

// TestClientAuth: required, optional, and who it is.
func TestClientAuth(t *testing.T) {
	ca, clients, strangers := pki.New(t, "ca"), pki.New(t, "clients"), pki.New(t, "strangers")
	src := source(t, "main", ca.Leaf("main.test"))
	src.ClientCA = filepath.Join(t.TempDir(), "clients.pem")
	pki.Put(t, src.ClientCA, clients.PEM())
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			auth  Auth
			shows []tls.Certificate
			want  bool
		}{
			{AuthRequired, nil, false},
			{AuthRequired, []tls.Certificate{clients.Leaf("alice").TLS}, true},
			{AuthRequired, []tls.Certificate{strangers.Leaf("alice").TLS}, false},
			{AuthRequired, []tls.Certificate{clients.LeafUntil(time.Now().Add(-time.Minute), "alice").TLS}, false},
			{AuthOptional, nil, true},
			{AuthOptional, []tls.Certificate{clients.Leaf("alice").TLS}, true},
			{AuthOptional, []tls.Certificate{strangers.Leaf("alice").TLS}, false},
		} {
			src.Auth = c.auth
			set := open(t, src).Set([]string{"main"}, Options{Tickets: newTickets(), MinVersion: tls.VersionTLS12})
			client := &tls.Config{RootCAs: ca.Pool(), ServerName: "main.test", MaxVersion: version}
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(c.shows) == 0 {
					return new(tls.Certificate), nil
				}
				return &c.shows[0], nil // whoever the server says it trusts
			}
			server, _, err := shake(t, set, client)
			if (err == nil) != c.want {
				t.Errorf("%+v: %v", c, err)
			}
			if c.want && len(server.PeerCertificates) != len(c.shows) {
				t.Errorf("%+v: %d certificates", c, len(server.PeerCertificates))
			}
		}
	}
}

// oneSession is a client's cache that gives the same session for every name.
type oneSession struct{ s *tls.ClientSessionState }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.s, o.s != nil }
func (o *oneSession) Put(_ string, s *tls.ClientSessionState)    { o.s = s }

// TestR78Resumption: a ticket is good for the certificate it was given with, and for no other, whatever each asks of clients (CVE-2025-23419);
// and no longer once the authorities are others.
func TestR78Resumption(t *testing.T) {
	ca, clients := pki.New(t, "ca"), pki.New(t, "clients")
	guarded := source(t, "guarded", ca.Leaf("guarded.test"))
	guarded.ClientCA, guarded.Auth = filepath.Join(t.TempDir(), "clients.pem"), AuthRequired
	pki.Put(t, guarded.ClientCA, clients.PEM())
	other := source(t, "other", ca.Leaf("other.test"))
	other.ClientCA, other.Auth = guarded.ClientCA, AuthRequired
	sources := []Source{source(t, "open", ca.Leaf("open.test")), guarded, other}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		pki.Put(t, guarded.ClientCA, clients.PEM())
		store := open(t, sources...)
		set := store.Set(names(sources), Options{Tickets: newTickets(), MinVersion: tls.VersionTLS12})
		alice := []tls.Certificate{clients.Leaf("alice").TLS}
		go1 := func(cache tls.ClientSessionCache, name string, shows []tls.Certificate) (resumed bool, err error) {
			// The names of the certificates are not looked at, so that a session of one may be offered to the other.
			server, _, err := shake(t, set, &tls.Config{InsecureSkipVerify: true, ServerName: name, MaxVersion: version, ClientSessionCache: cache, Certificates: shows})
			return server.DidResume, err
		}
		for _, c := range []struct {
			first, then string
			firstShows  []tls.Certificate
			thenShows   []tls.Certificate
			resumed, ok bool
		}{
			{"open.test", "open.test", nil, nil, true, true},
			{"guarded.test", "guarded.test", alice, alice, true, true},
			{"guarded.test", "other.test", alice, alice, false, true},
			{"guarded.test", "other.test", alice, nil, false, false},
			{"open.test", "guarded.test", nil, nil, false, false},
			{"guarded.test", "open.test", alice, nil, false, true},
		} {
			cache := new(oneSession)
			if resumed, err := go1(cache, c.first, c.firstShows); resumed || err != nil {
				t.Fatal(resumed, err)
			}
			resumed, err := go1(cache, c.then, c.thenShows)
			if resumed != c.resumed || (err == nil) != c.ok {
				t.Errorf("%s, %s then %s: resumed %v, %v", tls.VersionName(version), c.first, c.then, resumed, err)
			}
		}
		cache := new(oneSession)
		if _, err := go1(cache, "guarded.test", alice); err != nil {
			t.Fatal(err)
		}
		pki.Put(t, guarded.ClientCA, pki.New(t, "new clients").PEM())
		store.Look()
		store.Look()
		if resumed, err := go1(cache, "guarded.test", alice); resumed || err == nil {
			t.Errorf("%s: alice is still let in: resumed %v, %v", tls.VersionName(version), resumed, err)
		}
	}
}

// TestReadProblems: what is wrong with files, and which key names them.
func TestReadProblems(t *testing.T) {
	ca := pki.New(t, "ca")
	dir := t.TempDir()
	one, two := ca.Leaf("one.test"), ca.Leaf("two.test")
	cert, key := one.Write(t, dir, "one")
	_, otherKey := two.Write(t, dir, "two")
	junk, empty, big := filepath.Join(dir, "junk"), filepath.Join(dir, "empty"), filepath.Join(dir, "big")
	pki.Put(t, junk, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	pki.Put(t, empty, nil)
	pki.Put(t, big, make([]byte, MaxFile+1))
	for _, c := range []struct {
		source    Source
		key, want string
	}{
		{Source{Certificate: filepath.Join(dir, "gone"), Key: key}, "certificate", "no such file"},
		{Source{Certificate: cert, Key: filepath.Join(dir, "gone")}, "key", "no such file"},
		{Source{Certificate: cert, Key: otherKey}, "key", "private key does not match public key"},
		{Source{Certificate: key, Key: key}, "certificate", "PEM"},
		{Source{Certificate: cert, Key: cert}, "key", "certificate"},
		{Source{Certificate: empty, Key: key}, "certificate", "PEM"},
		{Source{Certificate: cert, Key: empty}, "key", "PEM"},
		{Source{Certificate: junk, Key: key}, "certificate", "malformed"},
		{Source{Certificate: big, Key: key}, "certificate", "larger than"},
		{Source{Certificate: cert, Key: key, ClientCA: junk}, "client_ca", "no certificate"},
		{Source{Certificate: cert, Key: key, ClientCA: filepath.Join(dir, "gone")}, "client_ca", "no such file"},
	} {
		_, err := Read(c.source, time.Now())
		var p *Problem
		if !errors.As(err, &p) || p.Key != c.key || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v %+v, want %s: %s", c.source, err, p, c.key, c.want)
		}
	}
	if _, errs := Open([]Source{{Name: "a", Certificate: cert, Key: key}, {Name: "b", Certificate: empty, Key: key}}, time.Now, nil); errs[0] != nil || errs[1] == nil {
		t.Errorf("%v", errs)
	}
}

// TestSelfSigned: it can be used at once, and is not the same twice.
func TestSelfSigned(t *testing.T) {
	store := open(t, Source{Name: "dev", Certificate: SelfSigned})
	set := store.Set([]string{"dev"}, Options{Tickets: newTickets(), MinVersion: tls.VersionTLS12})
	_, seen, err := shake(t, set, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	leaf := seen.PeerCertificates[0]
	for _, name := range []string{"localhost", "a.localhost", "127.0.0.1", "::1"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if again := open(t, Source{Certificate: SelfSigned}).Certificates()[0]; again.pair.Leaf.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
		t.Error("the same again")
	}
	next, _ := store.Next([]Source{{Name: "dev", Certificate: SelfSigned, Auth: AuthOptional}}, time.Now, nil)
	if heir := next.Certificates()[0]; heir.pair.Leaf.SerialNumber.Cmp(leaf.SerialNumber) != 0 || heir.auth != AuthOptional {
		t.Error("the store that takes its place has signed another, or does not know its own settings")
	}
}

// TestNext: what files say now counts for the store that takes another's place, and the counts go on.
func TestNext(t *testing.T) {
	ca := pki.New(t, "ca")
	src, gone := source(t, "main", ca.Leaf("old.test")), source(t, "gone", ca.Leaf("gone.test"))
	before := open(t, src, gone)
	before.list[0].renewed.Add(3)
	next := ca.Leaf("new.test")
	pki.Put(t, src.Certificate, next.Certificate)
	if _, errs := before.Next([]Source{src}, time.Now, nil); errs[0] == nil {
		t.Error("a certificate with another's key is taken")
	}
	pki.Put(t, src.Key, next.Key)
	after, errs := before.Next([]Source{src, source(t, "more", ca.Leaf("more.test"))}, time.Now, nil)
	if errs[0] != nil || errs[1] != nil {
		t.Fatal(errs)
	}
	if s := after.Status(); len(s) != 2 || s[0].Renewed != 3 || s[1].Renewed != 0 {
		t.Errorf("%+v", s)
	}
	if is, was := after.Certificates()[0].Names()[0], before.Certificates()[0].Names()[0]; is != "new.test" || was != "old.test" {
		t.Errorf("%s after %s", is, was)
	}
}

// TestLook: changed files are taken once they have come to rest and are valid; until then the certificate before is used.
func TestLook(t *testing.T) {
	ca := pki.New(t, "ca")
	type event struct {
		name string
		err  bool
	}
	var told []event
	src, still := source(t, "main", ca.Leaf("old.test")), source(t, "still", ca.Leaf("still.test"))
	store, _ := Open([]Source{src, still}, time.Now, func(name string, err error) { told = append(told, event{name, err != nil}) })
	set := store.Set([]string{"main", "still"}, Options{Tickets: newTickets(), MinVersion: tls.VersionTLS12})
	serves := func() string {
		_, seen, err := shake(t, set, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		return seen.PeerCertificates[0].Subject.CommonName
	}
	store.Look()
	if got := serves(); got != "old.test" || len(told) > 0 {
		t.Errorf("nothing has changed: %s, %v", got, told)
	}
	next := ca.Leaf("new.test")
	pki.Put(t, src.Certificate, next.Certificate) // its key is not there yet
	store.Look()
	if len(told) > 0 {
		t.Errorf("taken before it has come to rest: %v", told)
	}
	store.Look()
	store.Look()
	if got := serves(); got != "old.test" || len(told) != 1 || !told[0].err {
		t.Errorf("half of it: %s, %v", got, told)
	}
	pki.Put(t, src.Key, next.Key)
	store.Look()
	store.Look()
	store.Look()
	if got := serves(); got != "new.test" || len(told) != 2 || told[1] != (event{"main", false}) {
		t.Errorf("all of it: %s, %v", got, told)
	}
	os.Remove(src.Key)
	store.Look()
	store.Look()
	if got := serves(); got != "new.test" || len(told) != 3 || !told[2].err {
		t.Errorf("a file is gone: %s, %v", got, told)
	}
	if got := store.Status()[0]; got.Renewed != 1 || got.Failed != 2 || got.Name != "main" {
		t.Errorf("%+v", got)
	}
}

// TestTickets: keys change with time, the one before still decrypts, and processes that share a seed agree for ever.
func TestTickets(t *testing.T) {
	start := time.Date(2026, 10, 3, 1, 0, 0, 0, time.UTC)
	c := &clock{start}
	seed := NewSeed(start)
	one, two := NewTickets(seed, c.read), NewTickets(seed, c.read)
	group, other := [32]byte{1}, [32]byte{2}
	first, number := one.keys(group)
	if again, _ := one.keys(group); again != first {
		t.Error("they change at once")
	}
	if apart, _ := one.keys(other); apart[0] == first[0] {
		t.Error("two groups share a key")
	}
	c.now = start.Add(TicketTime)
	second, next := one.keys(group)
	if next != number+1 || second[0] == first[0] || second[1] != first[0] {
		t.Error("the key does not move on")
	}
	if got, _ := two.keys(group); got != second {
		t.Error("another process has other keys")
	}
	heir := NewTickets(two.Seed(), c.read)
	c.now = start.Add(2 * TicketTime)
	third, _ := one.keys(group)
	if got, _ := heir.keys(group); got != third {
		t.Error("a process that began later has other keys")
	}
	if third[1] != second[0] || third[0] == first[0] || one.seed.Secret == seed.Secret {
		t.Error("the first secret is still there")
	}
	c.now = start
	if got, _ := one.keys(group); got != third {
		t.Error("a clock that goes back brings old keys back")
	}
	c.now = start.Add(TicketTime * (maxSteps + 10))
	if got, _ := one.keys(group); got[1] == third[0] {
		t.Error("a key lives for ever")
	}
}

// TestTicketsRotate: a session is resumed with the key after its own, and not with the next; nothing but the clock moves it.
func TestTicketsRotate(t *testing.T) {
	ca := pki.New(t, "ca")
	c := &clock{time.Now()}
	for _, later := range []struct {
		by   time.Duration
		want bool
	}{{0, true}, {TicketTime, true}, {2 * TicketTime, false}} {
		c.now = time.Now()
		src := source(t, "main", ca.Leaf("main.test"))
		set := open(t, src).Set([]string{"main"}, Options{Tickets: NewTickets(NewSeed(c.now), c.read), MinVersion: tls.VersionTLS12})
		client := &tls.Config{RootCAs: ca.Pool(), ServerName: "main.test", ClientSessionCache: new(oneSession)}
		if _, _, err := shake(t, set, client); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.Add(later.by)
		server, _, err := shake(t, set, client)
		if err != nil || server.DidResume != later.want {
			t.Errorf("after %v: resumed %v, %v", later.by, server.DidResume, err)
		}
	}
}
