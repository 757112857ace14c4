package control

import (
	"slices"

	"edge/runtime/config"
)

// SameProcess says whether children that serve one configuration can go over to another: all but these keys is swapped in place.
func SameProcess(a, b *config.Config) bool {
	s, t := &a.Server, &b.Server
	return s.Children == t.Children && s.Pollers == t.Pollers && s.Workers == t.Workers && s.MaxConnectionsPerChild == t.MaxConnectionsPerChild &&
		s.User == t.User && s.Group == t.Group && s.Cache == t.Cache && s.Sandbox == t.Sandbox && a.Limits.Connections == b.Limits.Connections &&
		slices.Equal(addresses(a), addresses(b))
}

// addresses are what a configuration listens on, in an order of their own.
func addresses(cfg *config.Config) (list []string) {
	for i := range cfg.Listen {
		list = append(list, cfg.Listen[i].Address)
	}
	slices.Sort(list)
	return list
}
