package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"edge/filters/message"
	"edge/runtime/config"
	"edge/runtime/http1"
	"edge/runtime/route"
)

func explainCommand() *cobra.Command {
	var path string
	var headers []string
	c := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "Tell which route a request takes, and why not the ones before",
		Long: "Tell which route a request takes, its filters and its action, and why the routes before it do not match.\n" +
			"URL is http://host/path, or a path alone; then the host is that of -H 'host: …', or localhost.",
		Example: "  edge explain GET http://example.com/api/users -H 'x-beta: 1'",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			scheme, head, err := requestHead(args[0], args[1], headers)
			if err != nil {
				return err
			}
			cfg, problems := loadConfig(path)
			if len(problems) > 0 {
				return failed(problems)
			}
			explainHead(cfg, scheme, head, c.OutOrStdout())
			return nil
		},
	}
	fileFlag(c, &path)
	c.Flags().StringArrayVarP(&headers, "header", "H", nil, "a field of the request, as `'name: value'`; may be repeated")
	return c
}

// explainHead reads the head as the server would and writes what becomes of the request.
func explainHead(cfg *config.Config, scheme, head string, out io.Writer) {
	limits := http1Limits(&cfg.Limits)
	var reader http1.RequestReader
	reader.Reset(&limits)
	req := message.Request{Scheme: scheme}
	_, _, refused := reader.Feed([]byte(head), &req)
	switch {
	case refused != nil:
		line, _, _ := strings.Cut(head, " HTTP/1.1\r\n")
		fmt.Fprintf(out, "%s with %s\nrefused before any route: the answer is %d, %s\n", line, cfg.File, refused.Status, refused.Reason)
	case req.Target == "*":
		fmt.Fprintf(out, "%s %s://%s * with %s\nanswered by edge itself: it is about the server, not a resource\n",
			req.Method, req.Scheme, req.Authority, cfg.File)
	default:
		explain(cfg, &req, out)
	}
}

// explain writes which route a request takes.
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
