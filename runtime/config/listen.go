package config

import (
	"fmt"
	"net/netip"
	"slices"
)

func readListen(s *section) {
	c := s.r.cfg
	for _, t := range s.tables("listen", maxListen) {
		l := Listen{
			Address:      t.text("address", ""),
			Protocols:    t.texts("protocols"),
			Certificates: t.texts("certificates"),
		}
		switch {
		case t.has("protocols"):
		case t.has("certificates"):
			l.Protocols = []string{"h2", "http/1.1"}
		default:
			l.Protocols = []string{"http/1.1"}
		}
		l.MinTLS = t.oneOf("min_tls", "1.2", "1.3")
		readBind(t, &l)
		checkProtocols(t, &l)
		for i, name := range l.Certificates {
			if !slices.ContainsFunc(c.Certificates, func(c Certificate) bool { return c.Name == name }) {
				t.badItem("certificates", i, suggest(name, certificateNames(c)), "no certificate %q", name)
			}
		}
		t.close()
		c.Listen = append(c.Listen, l)
	}
	if !s.has("listen") {
		s.bad("listen", "add [[listen]] with address = \"127.0.0.1:8080\"", "there is no listener")
	}
}

func certificateNames(c *Config) []string {
	var names []string
	for i := range c.Certificates {
		names = append(names, c.Certificates[i].Name)
	}
	return names
}

// readBind reads the address and compares it with those before.
func readBind(t *section, l *Listen) {
	const remedy = `write it as "127.0.0.1:8080", "[::1]:8080", or ":8080" for every address`
	if !t.has("address") {
		t.bad("address", remedy, "is missing")
		return
	}
	host, port, err := splitHostPort(l.Address)
	if err != nil {
		t.bad("address", remedy, "%v", err)
		return
	}
	ip := netip.IPv6Unspecified()
	switch host {
	case "":
	case "localhost":
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		if ip, err = netip.ParseAddr(host); err != nil {
			t.bad("address", remedy, "%q is not an IP address", host)
			return
		}
	}
	l.AddrPort = netip.AddrPortFrom(ip, port)
	for i, other := range t.r.cfg.Listen {
		if overlap(l.AddrPort, other.AddrPort) {
			t.bad("address", "", "%s is taken by listen[%d] (%s)", l.Address, i, other.Address)
			return
		}
	}
}

// overlap says whether the kernel refuses to bind both. Port 0 is another port each time.
func overlap(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() || a.Port() == 0 || !a.IsValid() || !b.IsValid() {
		return false
	}
	x, y := a.Addr(), b.Addr()
	if x == y {
		return true
	}
	// "::" takes both families.
	six := netip.IPv6Unspecified()
	return x == six || y == six || x.Is4() == y.Is4() && (x.IsUnspecified() || y.IsUnspecified())
}

func checkProtocols(t *section, l *Listen) {
	if t.has("protocols") && len(l.Protocols) == 0 {
		t.bad("protocols", `write ["http/1.1"]`, "is empty")
	}
	known := []string{"http/1.1", "h2c", "h2"}
	for i, p := range l.Protocols {
		switch {
		case slices.Index(l.Protocols, p) < i:
			t.badItem("protocols", i, "", "%q is there twice", p)
		case p == "h2c" && t.has("certificates"):
			t.badItem("protocols", i, `write "h2"`, "h2c is HTTP/2 without TLS, and there are certificates")
		case p == "h2" && !t.has("certificates"):
			t.badItem("protocols", i, `add certificates = ["…"], or write "h2c"`, "h2 is HTTP/2 over TLS, and there is no certificate")
		case !slices.Contains(known, p):
			t.badItem("protocols", i, suggestOr(p, known), "%q is not a protocol", p)
		}
	}
	if t.has("min_tls") && !t.has("certificates") {
		t.warn("min_tls", "", "has no effect without certificates")
	}
}

func readCertificates(s *section) {
	c := s.r.cfg
	names, tables := s.named("certificates")
	for i, t := range tables {
		v := Certificate{Name: names[i], Certificate: t.text("certificate", ""), Key: t.text("key", "")}
		switch {
		case v.Certificate == "":
			t.bad("certificate", `write a path, or "self-signed"`, "is missing")
		case v.Certificate == "self-signed":
			if v.Key != "" {
				t.bad("key", notYet, "a self-signed certificate makes its own key")
			}
		case v.Key == "":
			t.bad("key", "write the path of the private key", "is missing")
		default:
			v.Certificate, v.Key = s.r.join(v.Certificate), s.r.join(v.Key)
		}
		readClientAuth(t, &v)
		t.close()
		c.Certificates = append(c.Certificates, v)
	}
}

func readClientAuth(t *section, v *Certificate) {
	v.ClientCA = t.r.join(t.text("client_ca", ""))
	switch {
	case v.ClientCA != "":
		v.ClientAuth = t.oneOf("client_auth", "required", "optional")
	case t.has("client_auth"):
		t.text("client_auth", "")
		t.bad("client_auth", `add client_ca = "ca.pem"`, "there is no client_ca to check clients against")
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
