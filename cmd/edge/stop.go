package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"edge/runtime/admin"
)

func stopCommand() *cobra.Command {
	var to target
	var now bool
	c := &cobra.Command{
		Use:   "stop",
		Short: "Stop the running edge",
		Long: "Stop the running edge as SIGTERM does, and wait until it has gone: what is under way is finished, for at most shutdown_timeout.\n" +
			"The file names the admin server that is asked.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := to.client("send SIGTERM to edge, or ")
			if err != nil {
				return failed(err)
			}
			return client.stop(c.Context(), now, c.OutOrStdout())
		},
	}
	to.flags(c)
	c.Flags().BoolVar(&now, "now", false, "finish nothing")
	return c
}

// stopping is what edge says when it is asked to stop.
type stopping struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
}

// stopped is what it says last.
type stopped struct {
	Finished bool `json:"finished"` // else something was cut off
}

// stop has edge stop, and waits for its end, which is that of the connection.
func (c *adminClient) stop(ctx context.Context, now bool, out io.Writer) error {
	page := admin.StopPath
	if now {
		page += "?now=true"
	}
	q, err := http.NewRequestWithContext(ctx, "POST", "http://localhost"+page, nil)
	if err != nil {
		return failed(err)
	}
	answer, err := c.http.Do(q)
	if err != nil {
		return failed(c.unreached(err))
	}
	defer answer.Body.Close()
	var begun stopping
	var ended stopped
	lines := json.NewDecoder(io.LimitReader(answer.Body, answerBytes))
	if answer.StatusCode != http.StatusOK || lines.Decode(&begun) != nil {
		return failed(fmt.Errorf("what answers at %s is no edge that knows %s: %s", c.name, admin.StopPath, answer.Status))
	}
	told := lines.Decode(&ended)
	io.Copy(io.Discard, answer.Body) // until it has gone
	switch {
	case ctx.Err() != nil:
		return failed(errors.New("edge is stopping; nobody waits for it any more"))
	case told != nil:
		return &status{exitForced, fmt.Errorf("edge (process %d) has died while it stopped", begun.PID)}
	case !ended.Finished:
		return &status{exitForced, fmt.Errorf("edge (process %d) has stopped before everything was finished", begun.PID)}
	}
	fmt.Fprintf(out, "edge (process %d) has stopped\n", begun.PID)
	return nil
}
