package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"edge/runtime/admin"
)

// Bounds of the verb.
const (
	statusTime  = 5 * time.Second // for one answer
	watchPeriod = time.Second
)

func statusCommand() *cobra.Command {
	var to target
	var watch, asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what the running edge does",
		Long: "Show what the edge that runs with a configuration does, as its admin address tells: once, with rates since its start, or\n" +
			"every second with --watch, with rates of that second. On a terminal q or ctrl-c ends it.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := to.client("")
			if err != nil {
				return failed(err)
			}
			ask := client.status
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if watch {
				err = watchStatus(ctx, ask, asJSON, os.Stdin, c.OutOrStdout())
			} else {
				err = showStatus(ctx, ask, asJSON, c.OutOrStdout())
			}
			if err != nil {
				return failed(err)
			}
			return nil
		},
	}
	to.flags(c)
	c.Flags().BoolVar(&watch, "watch", false, "show it again every second")
	c.Flags().BoolVar(&asJSON, "json", false, "write /status.json as it is, one line each time")
	return c
}

// asker asks for the status: the text, and what it says.
type asker func(ctx context.Context) ([]byte, *admin.Status, error)

// status is an asker.
func (c *adminClient) status(ctx context.Context) ([]byte, *admin.Status, error) {
	s := new(admin.Status)
	text, code, err := c.ask(ctx, statusTime, "GET", "/status.json", s)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("what answers at %s has no status: %d", c.name, code)
	}
	if err != nil {
		return nil, nil, err
	}
	return text, s, nil
}

func showStatus(ctx context.Context, ask asker, asJSON bool, out io.Writer) error {
	text, s, err := ask(ctx)
	if err == nil && !asJSON {
		text = []byte(statusText(nil, s))
	}
	if err == nil {
		_, err = out.Write(text)
	}
	return err
}
