package main

import (
	"edge/runtime/config"
	"edge/runtime/route"
)

// matchOf is a route's conditions as the route table takes them.
func matchOf(r *config.Route) route.Match {
	return route.Match{Hosts: r.Match.Hosts, Path: r.Match.Path, Methods: r.Match.Methods, Headers: r.Match.Headers}
}

// respondOf is the action that answers with a fixed response.
func respondOf(c *config.Respond) *route.Respond {
	r := &route.Respond{Status: c.Status, Body: c.Body}
	for _, f := range c.Headers {
		r.Header = append(r.Header, route.Field{Name: f[0], Value: f[1]})
	}
	return r
}

// planned stands for an action in a table that serves nobody.
type planned string

// ActionKind is the kind of the action it stands for.
func (p planned) ActionKind() string { return string(p) }

// planRoutes are the routes of a configuration without what it takes to serve them: for looking at.
func planRoutes(cfg *config.Config) []route.Route {
	routes := make([]route.Route, len(cfg.Routes))
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		routes[i] = route.Route{Name: r.Name, Match: matchOf(r), Action: planned(r.Action())}
	}
	return routes
}
