package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"edge/runtime/admin"
)

// Bounds of the verb.
const (
	statusTime  = 5 * time.Second // for one answer
	statusBytes = 16 << 20        // of one answer
	watchPeriod = time.Second
)

func statusCommand() *cobra.Command {
	var path, address string
	var watch, asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what the running edge does",
		Long: "Show what the edge that runs with a configuration does, as its admin address tells: once, with rates since its start, or\n" +
			"every second with --watch, with rates of that second. On a terminal q or ctrl-c ends it.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if address == "" {
				found, err := adminOf(path, "")
				if err != nil {
					return failed(err)
				}
				address = found
			}
			ask := statusClient(address)
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			var err error
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
	fileFlag(c, &path)
	c.Flags().StringVar(&address, "admin", "", "the `address` of the admin server, in place of the file's: unix:path or host:port")
	c.Flags().BoolVar(&watch, "watch", false, "show it again every second")
	c.Flags().BoolVar(&asJSON, "json", false, "write /status.json as it is, one line each time")
	return c
}

// asker asks for the status: the text, and what it says.
type asker func(ctx context.Context) ([]byte, *admin.Status, error)

// statusClient asks at an admin address.
func statusClient(name string) asker {
	network, address := "tcp", name
	if path, ok := strings.CutPrefix(name, "unix:"); ok {
		network, address = "unix", path
	}
	client := &http.Client{Timeout: statusTime, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	return func(ctx context.Context) ([]byte, *admin.Status, error) {
		q, err := http.NewRequestWithContext(ctx, "GET", "http://localhost/status.json", nil)
		if err != nil {
			return nil, nil, err
		}
		answer, err := client.Do(q)
		if errors.Is(err, os.ErrPermission) {
			return nil, nil, fmt.Errorf("%s may be opened only by the user that edge runs as, and root", name)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("nothing answers at %s; is edge running?", name)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(io.LimitReader(answer.Body, statusBytes))
		if err == nil && answer.StatusCode != http.StatusOK {
			err = errors.New(answer.Status)
		}
		var s admin.Status
		if err == nil {
			err = json.Unmarshal(text, &s)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("what answers at %s is not edge: %w", name, err)
		}
		return text, &s, nil
	}
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
