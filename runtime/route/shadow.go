package route

import (
	"slices"
	"strings"
)

// Shadow is a route that no request can reach, and the earlier route that takes all of its requests.
type Shadow struct{ Route, By *Route }

// Unreachable finds the routes that a single earlier route shadows. It does not find those that several shadow together.
// It compares every pair: it is for checking a configuration, not for serving.
func (t *Table) Unreachable() []Shadow {
	var out []Shadow
	for later := range t.routes {
		for earlier := range later {
			if t.covers(earlier, later) {
				out = append(out, Shadow{&t.routes[later], &t.routes[earlier]})
				break
			}
		}
	}
	return out
}

// covers says whether every request that matches route b matches route a.
func (t *Table) covers(a, b int) bool {
	ma, mb := &t.routes[a].Match, &t.routes[b].Match
	return coversHosts(ma.Hosts, mb.Hosts) && coversPath(ma.Path, mb.Path) &&
		t.rules[a].coversMethods(&t.rules[b]) && t.rules[a].coversHeaders(&t.rules[b])
}

func coversHosts(a, b []string) bool {
	if len(a) == 0 {
		return true
	}
	for _, hb := range b {
		hb = strings.ToLower(hb)
		if !slices.ContainsFunc(a, func(ha string) bool {
			return strings.EqualFold(ha, hb) || hostMatches(ha, strings.TrimPrefix(hb, "*"))
		}) {
			return false
		}
	}
	return len(b) > 0
}

func coversPath(a, b string) bool {
	prefix, wild := strings.CutSuffix(pattern(b), "*")
	if wild && !strings.HasSuffix(pattern(a), "*") {
		return false
	}
	return pathMatches(a, prefix)
}

func (r *rule) coversMethods(b *rule) bool {
	if len(b.methods) == 0 {
		return len(r.methods) == 0
	}
	for _, m := range b.methods {
		if !r.method(m) {
			return false
		}
	}
	return true
}

func (r *rule) coversHeaders(b *rule) bool {
	for _, need := range r.headers {
		if !slices.ContainsFunc(b.headers, func(have Field) bool {
			return have.Name == need.Name && (need.Value == "*" || have.Value == need.Value)
		}) {
			return false
		}
	}
	return true
}
