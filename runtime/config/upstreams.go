package config

import (
	"net"
	"slices"
	"strings"
	"time"
)

func readUpstreams(s *section) {
	names, tables := s.named("upstreams")
	for i, t := range tables {
		u := Upstream{
			Name:            names[i],
			Keepalive:       t.count("keepalive", 64, 0, MaxKeepalive),
			ConnectTimeout:  t.duration("connect_timeout", 2*time.Second, minTimeout, maxTimeout),
			ResponseTimeout: t.duration("response_timeout", 30*time.Second, minTimeout, maxTimeout),
			StreamTimeout:   t.duration("stream_timeout", 5*time.Minute, minTimeout, maxTimeout),
			Retries:         t.count("retries", 1, 0, MaxRetries),
		}
		u.Servers = readServers(t)
		u.Balance = readBalance(t)
		u.TLS = readUpstreamTLS(t, u.Servers)
		u.HTTP2 = t.boolean("http2", true)
		if t.has("http2") && !anyTLS(u.Servers) {
			t.warn("http2", `write a server as "https://…", or as "h2c://…" for HTTP/2 without TLS`, "has no effect: no server speaks TLS")
		}
		t.close()
		s.r.cfg.Upstreams = append(s.r.cfg.Upstreams, u)
	}
}

const serverForms = `write it as "127.0.0.1:9001", "unix:app.sock" or { address = "127.0.0.1:9001", weight = 2 }`

func readServers(t *section) []UpstreamServer {
	var out []UpstreamServer
	list := t.list("servers")
	for i, v := range list {
		at, path := t.at("servers").item(i), item(t.sub("servers"), i)
		entry := &section{r: t.r, path: path, mark: at}
		switch v := v.(type) {
		case string:
			entry.values = map[string]any{"address": v}
		case map[string]any:
			entry.values = v
		default:
			t.badItem("servers", i, serverForms, "should be a string or a table, is %s", kind(v))
			continue
		}
		server := UpstreamServer{Weight: entry.count("weight", 1, 1, MaxWeight)}
		if text := entry.text("address", ""); entry.has("address") {
			a, err := serverAddress(text, t.r.join)
			if err != nil {
				t.badItem("servers", i, serverForms, "%v", err)
			}
			server.Address = a
		} else {
			entry.bad("address", serverForms, "is missing")
		}
		entry.close()
		for j, other := range out {
			if other.Address == server.Address && other.Address != (Address{}) {
				t.badItem("servers", i, "give it a weight", "%s is servers[%d] already", server.Address, j)
			}
		}
		out = append(out, server)
	}
	switch {
	case !t.has("servers"):
		t.bad("servers", `add servers = ["127.0.0.1:9001"]`, "is missing")
	case len(list) == 0:
		t.bad("servers", serverForms, "there is no server")
	case len(list) > MaxServers:
		t.bad("servers", "", "%d is more than %d", len(list), MaxServers)
	}
	return out
}

type notSupported string

func (n notSupported) Error() string { return string(n) }

func serverAddress(text string, join func(string) string) (Address, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return parseAddress(text, join)
	}
	switch scheme {
	case "http":
		return parseAddress(strings.TrimSuffix(rest, "/"), join)
	case "https":
		rest = strings.TrimSuffix(rest, "/")
		if strings.HasPrefix(rest, "unix:") {
			return Address{}, notSupported("TLS over a unix socket is not supported")
		}
		if _, _, err := net.SplitHostPort(rest); err != nil {
			rest = net.JoinHostPort(strings.Trim(rest, "[]"), "443")
		}
		a, err := parseAddress(rest, join)
		a.TLS = err == nil
		return a, err
	case "h2c":
		a, err := parseAddress(strings.TrimSuffix(rest, "/"), join)
		a.H2C = err == nil
		return a, err
	}
	return Address{}, notSupported(scheme + ":// is not known here")
}

// readUpstreamTLS reads how to speak TLS with the upstream's https:// servers.
func readUpstreamTLS(u *section, servers []UpstreamServer) UpstreamTLS {
	t := u.tableOrEmpty("tls")
	v := UpstreamTLS{
		CA: t.r.join(t.text("ca", "")), Certificate: t.r.join(t.text("certificate", "")), Key: t.r.join(t.text("key", "")),
		ServerName: t.text("server_name", ""), Insecure: t.boolean("insecure", false),
	}
	switch {
	case v.Certificate != "" && v.Key == "":
		t.bad("key", "write the path of the private key", "is missing")
	case v.Key != "" && v.Certificate == "":
		t.bad("certificate", "write the path of the certificate", "is missing")
	}
	if v.Insecure && (v.CA != "" || v.ServerName != "") {
		t.warn("insecure", "", "nothing is checked: ca and server_name have no effect on whom edge talks to")
	}
	if problem := hostProblem(v.ServerName); v.ServerName != "" && problem != "" {
		t.bad("server_name", "", "%q %s", v.ServerName, problem)
	}
	if u.has("tls") && !anyTLS(servers) {
		u.warn("tls", `write a server as "https://…"`, "has no effect: no server speaks TLS")
	}
	t.close()
	return v
}

func anyTLS(servers []UpstreamServer) bool {
	return slices.ContainsFunc(servers, func(s UpstreamServer) bool { return s.Address.TLS })
}

func readBalance(t *section) Balance {
	text := t.text("balance", "least_requests")
	known := []string{"least_requests", "round_robin", "random2", "hash:client_ip", "hash:<header>"}
	key, hash := strings.CutPrefix(text, "hash:")
	switch {
	case hash && key == "client_ip":
		return Balance{Kind: "hash"}
	case hash && validToken(key):
		return Balance{Kind: "hash", Header: strings.ToLower(key)}
	case hash:
		t.bad("balance", "", "%q is not a header name", key)
	case text == "round_robin", text == "least_requests", text == "random2":
		return Balance{Kind: text}
	default:
		t.bad("balance", suggestOr(text, known), "%q is not a way to balance", text)
	}
	return Balance{Kind: "least_requests"}
}
