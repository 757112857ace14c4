package config

// warnUnused warns of certificates, upstreams and filters that nothing refers to: a misspelt route is often behind it.
func warnUnused(c *Config) {
	used := map[string]bool{}
	for i := range c.Routes {
		used["upstream "+c.Routes[i].Upstream] = true
		for _, f := range c.Routes[i].Filters {
			used["filter "+f.Name] = true
		}
	}
	for i := range c.Filters {
		for _, name := range c.Filters[i].AllowUpstreams {
			used["upstream "+name] = true
		}
	}
	for i := range c.Listen {
		for _, name := range c.Listen[i].Certificates {
			used["certificate "+name] = true
		}
	}
	for i := range c.Certificates {
		if name := c.Certificates[i].Name; !used["certificate "+name] {
			c.Warnings = append(c.Warnings, c.Warn([]any{"certificates", name}, "", "no listener uses it"))
		}
	}
	for i := range c.Upstreams {
		if name := c.Upstreams[i].Name; !used["upstream "+name] {
			c.Warnings = append(c.Warnings, c.Warn([]any{"upstreams", name}, "", "no route and no filter uses it"))
		}
	}
	for i := range c.Filters {
		if name := c.Filters[i].Name; !used["filter "+name] && !c.Filters[i].Background {
			c.Warnings = append(c.Warnings, c.Warn([]any{"filters", name}, "", "no route uses it"))
		}
	}
}
