package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"edge/runtime/config"
	"edge/runtime/route"
)

func checkCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:     "check",
		Aliases: []string{"validate"},
		Short:   "Check a configuration and tell everything that is wrong with it",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return check(path, c.OutOrStdout()) },
	}
	fileFlag(c, &path)
	return c
}

// check writes problems, then warnings, one a line as file:line: key: what; remedy.
func check(path string, out io.Writer) error {
	cfg, problems := loadConfig(path)
	if len(problems) == 0 {
		problems = tryFilters(cfg)
	}
	warnings := cfg.Warnings
	if len(problems) == 0 {
		var more config.Problems
		problems, more = checkCerts(cfg)
		warnings = append(warnings[:len(warnings):len(warnings)], more...)
	}
	for _, p := range problems {
		fmt.Fprintln(out, p)
	}
	if len(problems) == 0 {
		warnings = append(warnings[:len(warnings):len(warnings)], unreachable(cfg)...)
	}
	for _, w := range warnings {
		fmt.Fprintln(out, w)
	}
	if n := len(problems); n > 0 {
		fmt.Fprintf(out, "%s is not valid: %s\n", cfg.File, count(n, "problem"))
		return failed(nil)
	}
	fmt.Fprintf(out, "%s is valid: %s, %s, %s, %s\n", cfg.File, count(len(cfg.Listen), "listener"),
		count(len(cfg.Routes), "route"), count(len(cfg.Filters), "filter"), count(len(cfg.Upstreams), "upstream"))
	return nil
}

// tryFilters compiles and starts the filters, and ends them again. Of the cache it makes no use: what confined children have written is not
// run by whoever is not confined.
func tryFilters(cfg *config.Config) config.Problems {
	cache := ""
	if !cfg.Server.Sandbox {
		cache = cacheOf(cfg)
	}
	host, err := newHost(cache, nil, nil, nil)
	if err != nil {
		return config.Problems{cfg.Problem(nil, "", "%v", err)}
	}
	set, problems := startFilters(cfg, host, nil, nil)
	if len(problems) > 0 {
		return problems
	}
	retireAll(set.guests)
	return nil
}

// unreachable warns of the routes that an earlier one shadows.
func unreachable(cfg *config.Config) config.Problems {
	t := route.NewTable(planRoutes(cfg))
	var out config.Problems
	for _, s := range t.Unreachable() {
		later, earlier := t.Index(s.Route), t.Index(s.By)
		out = append(out, cfg.Warn([]any{"routes", later}, "move it up, or take it out",
			"no request reaches it: %s (line %d) takes them all", s.By.Name, routeLine(cfg, earlier)))
	}
	return out
}

func routeLine(cfg *config.Config, i int) int { return cfg.Problem([]any{"routes", i}, "", "").Line }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
