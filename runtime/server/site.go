package server

import (
	"edge/filters"
	"edge/runtime/files"
	"edge/runtime/metrics"
	"edge/runtime/route"
	"edge/runtime/upstream"
)

// Site is what is served: routes, and the upstreams that routes and filters ask. It never changes, but for the count of its users.
type Site struct {
	table *route.Table
	pools map[string]*upstream.Pool
	none  metrics.Route // requests without a route
	use   use

	settings *settings // set before the site is served
}

// plan is a route's action, as the server carries it out: exactly one of the pointers is set.
type plan struct {
	respond  *route.Respond
	redirect *route.Redirect
	files    *files.Action
	pool     *upstream.Pool
	metric   metrics.Route
}

// ActionKind is part of route.Action.
func (p *plan) ActionKind() string {
	switch {
	case p.respond != nil:
		return p.respond.ActionKind()
	case p.redirect != nil:
		return p.redirect.ActionKind()
	case p.files != nil:
		return "files"
	}
	return p.pool.ActionKind()
}

// Action is what NewSite takes as a route's action: one of the fields is set.
type Action struct {
	Respond  *route.Respond
	Redirect *route.Redirect
	Files    *files.Action
	Pool     *upstream.Pool
}

// Route is one route of a site, in file order.
type Route struct {
	Name    string
	Match   route.Match
	Filters []filters.Filter
	Action  Action
}

// NewSite makes a site. Pools are those that routes and filters may name.
func NewSite(routes []Route, pools map[string]*upstream.Pool, m *metrics.Set) *Site {
	list := make([]route.Route, len(routes))
	for i, r := range routes {
		a := r.Action
		list[i] = route.Route{Name: r.Name, Match: r.Match, Filters: r.Filters, Action: &plan{
			respond: a.Respond, redirect: a.Redirect, files: a.Files, pool: a.Pool, metric: m.Route(r.Name),
		}}
	}
	return &Site{table: route.NewTable(list), pools: pools, none: m.Route(""),
		use: use{bound: make(chan struct{}), ended: make(chan struct{})}}
}
