package config

import (
	"fmt"
	"net/netip"
	"slices"
)

const noTLS = "TLS listeners are not supported by this build"

func readListen(s *section) {
	c := s.r.cfg
	for _, t := range s.tables("listen", maxListen) {
		l := Listen{
			Address:      t.text("address", ""),
			Protocols:    t.texts("protocols"),
			Certificates: t.texts("certificates"),
		}
		if !t.has("protocols") {
			l.Protocols = []string{"http/1.1"}
		}
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
		case p == "h2c":
			t.warn("protocols", "", "h2c: HTTP/2 is not served yet")
		case p == "h2":
			t.badItem("protocols", i, `use "http/1.1" and leave out h2 and certificates`, "%s", noTLS)
		case !slices.Contains(known, p):
			t.badItem("protocols", i, suggestOr(p, known), "%q is not a protocol", p)
		}
	}
	if !slices.Contains(l.Protocols, "http/1.1") && slices.Contains(l.Protocols, "h2c") {
		t.bad("protocols", `add "http/1.1"`, "h2c alone: HTTP/2 is not served yet")
	}
	if len(l.Certificates) > 0 {
		t.bad("certificates", notYet+", and put a TLS terminator in front", "%s", noTLS)
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
		t.close()
		c.Certificates = append(c.Certificates, v)
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
