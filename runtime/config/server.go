package config

import (
	"math"
	"net/netip"
	"time"
)

// notYet is the remedy for a key that this build knows and cannot serve: leaving it out must be the operator's choice.
const notYet = "leave it out"

func readServer(s *section) Server {
	v := Server{
		Children:               s.count("children", 1, 1, 1024),
		Pollers:                s.count("pollers", 0, 0, MaxPollers),
		Workers:                s.count("workers", defaultWorkers, 1, MaxWorkers),
		MaxConnectionsPerChild: s.integer("max_connections_per_child", 0, 0, math.MaxInt64),
		HandshakeTimeout:       s.duration("handshake_timeout", 10*time.Second, minTimeout, maxTimeout),
		HeaderTimeout:          s.duration("header_timeout", 10*time.Second, minTimeout, maxTimeout),
		Timeout:                s.duration("timeout", time.Minute, minTimeout, maxTimeout),
		KeepaliveTimeout:       s.duration("keepalive_timeout", 15*time.Second, minTimeout, maxTimeout),
		LingerTimeout:          s.duration("linger_timeout", 30*time.Second, minTimeout, maxTimeout),
		ShutdownTimeout:        s.duration("shutdown_timeout", 30*time.Second, 0, maxTimeout),
		Cache:                  s.text("cache", "auto"),
		Watch:                  s.boolean("watch", true),
		PidFile:                s.r.join(s.text("pid_file", "")),
		User:                   s.text("user", ""),
		Group:                  s.text("group", ""),
		Sandbox:                s.oneOf("sandbox", "on", "off") == "on",
	}
	switch v.Cache {
	case "off":
		v.Cache = ""
	case "auto":
	default:
		v.Cache = s.r.join(v.Cache)
	}
	v.Admin = readAdmin(s)
	v.TrustedProxies = readProxies(s)
	if v.Pollers > v.Workers {
		s.bad("pollers", "", "%d pollers are more than %d workers", v.Pollers, v.Workers)
	}
	// A4. With one worker the low-water mark of admission is 0: the door opens only when nothing is queued.
	if v.Workers < minWorkersAdvice {
		s.warn("workers", "use at least 4", "%s: admission will close the door under any load", plural(v.Workers, "worker"))
	}
	s.close()
	return v
}

func readAdmin(s *section) Address {
	text := s.text("admin", DefaultAdmin)
	if text == "" {
		return Address{}
	}
	a, err := parseAddress(text, s.r.join)
	if err != nil {
		s.bad("admin", `write it as "unix:edge.sock" or "127.0.0.1:9901", or "" for none`, "%v", err)
		return Address{}
	}
	if host, _, _ := splitHostPort(a.Addr); a.Network == "tcp" && host != "localhost" {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
			s.bad("admin", "use a loopback address or a unix socket", "%s is not loopback, and the admin server has no passwords", a.Addr)
		}
	}
	return a
}

func readProxies(s *section) []netip.Prefix {
	var out []netip.Prefix
	for i, text := range s.texts("trusted_proxies") {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			ip, bare := netip.ParseAddr(text)
			if bare != nil {
				s.badItem("trusted_proxies", i, `write it as "10.0.0.0/8" or "::1"`, "%q is not an address or a prefix", text)
				continue
			}
			p = netip.PrefixFrom(ip, ip.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out
}

func readLimits(s *section) Limits {
	v := Limits{
		HeaderBytes: s.size("header_bytes", 32<<10, minHeaderBytes, MaxHeaderBytes),
		HeaderCount: s.count("header_count", 128, 1, MaxHeaderCount),
		URIBytes:    s.size("uri_bytes", 16<<10, minURIBytes, MaxHeaderBytes),
		RequestBody: s.size("request_body", Unlimited, 0, Unlimited),
		Connections: s.count("connections", 100_000, 1, MaxConnections),
	}
	rate, err := ParseRate(s.text("min_rate", "1KiB/5s"))
	if err != nil {
		s.bad("min_rate", `write it as "1KiB/5s", or "off"`, "%v", err)
	}
	v.MinRate = rate
	s.close()
	return v
}

func readLog(s *section) Log {
	v := Log{
		Access: s.text("access", "stdout"),
		Format: s.oneOf("format", "json", "common", "combined"),
		Level:  "info",
	}
	if s.has("level") {
		v.Level = s.oneOf("level", "trace", "debug", "info", "warn", "error")
	}
	switch v.Access {
	case "stdout", "off":
	case "":
		s.bad("access", `write a path, "stdout" or "off"`, "is empty")
	default:
		v.Access = s.r.join(v.Access)
	}
	s.close()
	return v
}
