package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"edge/runtime/admin"
)

func reloadCommand() *cobra.Command {
	var to target
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the running edge read its configuration again",
		Long: "Have the running edge read its configuration again, and wait for the outcome. The file names the admin server that is asked.\n" +
			"What edge reads is the file that it was started with. Where anything is wrong with it, nothing has changed.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := to.client("send SIGHUP to edge, or ")
			if err != nil {
				return failed(err)
			}
			return askForReload(c.Context(), client, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	to.flags(c)
	return c
}

// askForReload writes what has come of a reload. Its error is that there was none.
func askForReload(ctx context.Context, client *adminClient, out, errs io.Writer) error {
	var o outcome
	if _, _, err := client.ask(ctx, admin.ReloadTime+statusTime, "POST", admin.ReloadPath, &o); err != nil {
		return failed(err)
	}
	for _, w := range o.Warnings {
		fmt.Fprintln(errs, w)
	}
	if o.Result != reloadDone {
		for _, problem := range o.Problems {
			fmt.Fprintln(errs, problem)
		}
		return failed(fmt.Errorf("%s is not used (%s), the configuration before goes on", o.Config, o.Result))
	}
	fmt.Fprintf(out, "%s has been reloaded in %.0f ms\n", o.Config, o.TookMS)
	return nil
}
