package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"edge/runtime/admin"
)

func upgradeCommand() *cobra.Command {
	var to target
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Have the binary that is installed now take the running edge's place",
		Long: "Have the binary that is installed now, at the path that edge was started by, take the running edge's place, and wait for the outcome.\n" +
			"It gets the listening sockets, serves with the same command line, and then the old one finishes what it has. Where the new one does\n" +
			"not come to serve, the old one goes on as if nothing had been. The file names the admin server that is asked.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := to.client("send SIGUSR2 to edge, or ")
			if err != nil {
				return failed(err)
			}
			return client.upgrade(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	to.flags(c)
	return c
}

// The results of an upgrade.
const (
	upgradeDone    = "done"
	upgradeFailed  = "failed"  // the new binary has not come to serve
	upgradeRefused = "refused" // it has not been started
)

// upgraded is what has come of an upgrade: the answer of the admin server.
type upgraded struct {
	Time     time.Time `json:"time"` // of its end
	Result   string    `json:"result"`
	Binary   string    `json:"binary"`            // its path
	Version  string    `json:"version,omitempty"` // as the new one says
	PID      int       `json:"pid,omitempty"`     // of the new control process
	TookMS   float64   `json:"took_ms"`
	Problems []string  `json:"problems,omitempty"`
}

// upgrade writes what has come of an upgrade. Its error is that there was none.
func (c *adminClient) upgrade(ctx context.Context, out, errs io.Writer) error {
	var u upgraded
	if _, _, err := c.ask(ctx, admin.UpgradeTime+statusTime, "POST", admin.UpgradePath, &u); err != nil {
		return failed(err)
	}
	if u.Result != upgradeDone {
		for _, problem := range u.Problems {
			fmt.Fprintln(errs, problem)
		}
		return failed(fmt.Errorf("%s has not taken over (%s), the edge before goes on", u.Binary, u.Result))
	}
	fmt.Fprintf(out, "edge %s (process %d) has taken over in %.0f ms\n", u.Version, u.PID, u.TookMS)
	return nil
}
