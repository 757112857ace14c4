package config

import (
	"fmt"
	"maps"
	"slices"
)

func readRoutes(s *section) {
	c := s.r.cfg
	names := map[string]int{}
	for i, t := range s.tables("routes", maxRoutes) {
		r := Route{Name: t.text("name", "")}
		switch first, taken := names[r.Name]; {
		case r.Name == "":
			r.Name = fmt.Sprintf("routes[%d]", i)
		case nameProblem(r.Name) != "":
			t.bad("name", "", "%s", nameProblem(r.Name))
		case taken:
			t.bad("name", "", "routes[%d] has the name %q already", first, r.Name)
		default:
			names[r.Name] = i
		}
		if m := t.table("match"); m != nil {
			r.Match = readMatch(m)
		}
		r.Filters = readUses(t)
		readAction(t, &r)
		t.close()
		c.Routes = append(c.Routes, r)
	}
	if !s.has("routes") {
		s.bad("routes", "add [[routes]] with an action", "there is no route")
	}
}

// readUses reads a route's filters: names, or tables that change a filter's settings for this route.
func readUses(t *section) []FilterUse {
	var out []FilterUse
	list := t.list("filters")
	for i, v := range list {
		entry := &section{r: t.r, path: item(t.sub("filters"), i), mark: t.at("filters").item(i)}
		switch v := v.(type) {
		case string:
			entry.values = map[string]any{"name": v}
		case map[string]any:
			entry.values = v
		default:
			t.badItem("filters", i, `write a name, or { name = "…", config = "…" }`, "should be a string or a table, is %s", kind(v))
			continue
		}
		use := FilterUse{Name: entry.text("name", "")}
		f := t.r.cfg.Filter(use.Name)
		if f == nil {
			t.badItem("filters", i, suggest(use.Name, t.r.filterNames()), "no filter %q", use.Name)
			continue
		}
		if f.Background {
			t.badItem("filters", i, "take it out of the route; it is started without one, or take background out of the filter",
				"filter %q is a background filter, which sees no requests", use.Name)
		}
		use.Config, use.Settings = readFilterConfig(entry, f.Native != "")
		entry.close()
		out = append(out, use)
	}
	if len(list) > MaxChain {
		t.bad("filters", "", "%d filters are more than %d", len(list), MaxChain)
	}
	return out
}

var actions = []string{"upstream", "files", "respond", "redirect"}

// readAction reads the one action that a route must have.
func readAction(t *section, r *Route) {
	var have []string
	for _, a := range actions {
		if t.has(a) {
			have = append(have, a)
		}
	}
	if r.Upstream = t.text("upstream", ""); t.has("upstream") && t.r.cfg.Upstream(r.Upstream) == nil {
		t.bad("upstream", suggest(r.Upstream, t.r.upstreamNames()), "no upstream %q", r.Upstream)
	}
	if a := t.table("files"); a != nil {
		r.Files = readFiles(a, &r.Match)
	}
	if a := t.table("respond"); a != nil {
		r.Respond = readRespond(a)
	}
	if a := t.table("redirect"); a != nil {
		r.Redirect = readRedirect(a)
	}
	switch len(have) {
	case 0:
		unknown := slices.ContainsFunc(slices.Collect(maps.Keys(t.values)), func(k string) bool { return suggest(k, actions) != "" })
		if !unknown { // else close reports that key
			t.r.bad(t.mark, t.path, "add one of upstream, files, respond, redirect", "there is no action")
		}
	case 1:
	default:
		t.bad(have[1], "keep one", "a second action beside %s", have[0])
	}
}
