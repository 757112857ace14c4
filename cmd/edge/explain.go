package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"edge/filters/message"
	"edge/runtime/config"
	"edge/runtime/route"
)

func explainCommand() *cobra.Command {
	var path string
	var headers []string
	c := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "Tell which route a request takes, and why not the ones before",
		Long: "Tell which route a request takes, its filters and its action, and why the routes before it do not match.\n" +
			"URL is http://host/path, or a path alone; then the host comes from -H 'host: …'.",
		Example: "  edge explain GET http://example.com/api/users -H 'x-beta: 1'",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			var req message.Request
			if err := readRequest(&req, args[0], args[1], headers); err != nil {
				return err
			}
			cfg, problems := loadConfig(path)
			if len(problems) > 0 {
				return failed(problems)
			}
			explain(cfg, &req, c.OutOrStdout())
			return nil
		},
	}
	fileFlag(c, &path)
	c.Flags().StringArrayVarP(&headers, "header", "H", nil, "a field of the request, as `'name: value'`; may be repeated")
	return c
}

// readRequest makes the request that the command line speaks of. The URL is taken byte for byte: routes match what was
// received.
func readRequest(req *message.Request, method, url string, headers []string) error {
	req.Method, req.Scheme, req.Version = method, "http", message.HTTP11
	if !message.ValidName(method) {
		return fmt.Errorf("%q is not a method", method)
	}
	target := url
	if scheme, rest, ok := strings.Cut(url, "://"); ok {
		if scheme != "http" && scheme != "https" {
			return fmt.Errorf("%q: the URL should begin with http://, https:// or /", url)
		}
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		req.Scheme, req.Authority, target = scheme, rest[:end], rest[end:]
		if target == "" || target[0] == '?' {
			target = "/" + target
		}
		if req.Authority == "" || strings.ContainsAny(req.Authority, "@ ") {
			return fmt.Errorf("%q: the URL has no valid host", url)
		}
	}
	if !strings.HasPrefix(target, "/") && target != "*" {
		return fmt.Errorf("%q: the URL should begin with http://, https:// or /", url)
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f || c == '#' || c == '\\' {
			return fmt.Errorf("%q: no request has %q in its target; percent-encode it", url, c)
		}
	}
	req.Target = target
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		value = strings.Trim(value, " \t")
		switch {
		case !ok || !message.ValidName(name) || !message.ValidValue(value):
			return fmt.Errorf("%q is not a field: write it as 'name: value'", h)
		case strings.EqualFold(name, "host") && req.Authority == "":
			req.Authority = value
		case strings.EqualFold(name, "host") && req.Authority != value:
			return fmt.Errorf("the host is %q in the URL and %q in -H", req.Authority, value)
		case !strings.EqualFold(name, "host"):
			req.Header.Add(name, value)
		}
	}
	return nil
}

// explain writes what becomes of a request.
func explain(cfg *config.Config, req *message.Request, out io.Writer) {
	fmt.Fprintf(out, "%s %s://%s%s with %s\n", req.Method, req.Scheme, req.Authority, req.Target, cfg.File)
	t := route.NewTable(planRoutes(cfg))
	width := 0
	steps := t.Explain(req)
	for _, s := range steps {
		width = max(width, len(s.Route.Name))
	}
	for i, s := range steps {
		what := s.Reason
		if s.Matched {
			what = "matches"
		}
		fmt.Fprintf(out, "  %-*s  line %d: %s\n", width, s.Route.Name, routeLine(cfg, i), what)
	}
	if len(steps) > 0 && steps[len(steps)-1].Matched {
		r := &cfg.Routes[len(steps)-1]
		fmt.Fprintf(out, "route: %s\n", r.Name)
		writeFilters(cfg, r, out)
		fmt.Fprintf(out, "action: %s\n", describe(cfg, r, req))
		return
	}
	if allow := t.Allow(nil, req); len(allow) > 0 {
		fmt.Fprintf(out, "no route: the answer is 405, with allow: %s\n", allow)
		return
	}
	fmt.Fprintln(out, "no route: the answer is 404")
}

func writeFilters(cfg *config.Config, r *config.Route, out io.Writer) {
	if len(r.Filters) == 0 {
		fmt.Fprintln(out, "filters: none")
		return
	}
	fmt.Fprintln(out, "filters, in the order of the request:")
	for i, use := range r.Filters {
		f := cfg.Filter(use.Name)
		what := "native " + f.Native
		if f.Module != "" {
			what = "module " + f.Module
		}
		if use.Config != nil || use.Settings != nil {
			what += ", configured by the route"
		}
		if f.FailOpen {
			what += ", skipped if it fails"
		}
		fmt.Fprintf(out, "  %d. %s (%s)\n", i+1, use.Name, what)
	}
}

// describe is an action in words.
func describe(cfg *config.Config, r *config.Route, req *message.Request) string {
	switch {
	case r.Files != nil:
		root := "files below " + r.Files.Root
		if r.Files.Strip != "" {
			root += ", without " + r.Files.Strip
		}
		return root
	case r.Respond != nil:
		return fmt.Sprintf("respond with %d and %s", r.Respond.Status, count(len(r.Respond.Body), "byte"))
	case r.Redirect != nil:
		to := route.Redirect{To: r.Redirect.To, Status: r.Redirect.Status}
		matched := route.Route{Match: matchOf(r)}
		return fmt.Sprintf("redirect with %d to %s", to.Status, to.AppendLocation(nil, req, matched.Rest(req.Path())))
	}
	u := cfg.Upstream(r.Upstream)
	servers := make([]string, len(u.Servers))
	for i := range u.Servers {
		servers[i] = u.Servers[i].Address.String()
	}
	balance := u.Balance.Kind
	if balance == "hash" {
		balance += ":" + map[bool]string{true: "client_ip", false: u.Balance.Header}[u.Balance.Header == ""]
	}
	return fmt.Sprintf("upstream %s: %s of %s", u.Name, balance, strings.Join(servers, ", "))
}
