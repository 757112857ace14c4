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
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"edge/runtime/admin"
	"edge/runtime/config"
)

func reloadCommand() *cobra.Command {
	var path, address string
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the running edge read its configuration again",
		Long: "Have the running edge read its configuration again, and wait for the outcome. The file names the admin server that is asked.\n" +
			"What edge reads is the file that it was started with. Where anything is wrong with it, nothing has changed.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return askForReload(path, address, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	fileFlag(c, &path)
	c.Flags().StringVar(&address, "admin", "", "the `address` of the admin server, in place of the file's: unix:path or host:port")
	return c
}

// maxOutcome is the size in bytes of the longest answer that is read.
const maxOutcome = 4 << 20

// askForReload writes what has come of a reload. Its error is that there was none.
func askForReload(path, address string, out, errs io.Writer) error {
	if address == "" {
		found, err := adminOf(path, "send SIGHUP to edge, or ")
		if err != nil {
			return failed(err)
		}
		address = found
	}
	o, err := postReload(address)
	if err != nil {
		return failed(fmt.Errorf("nobody answers at %s, where the admin server of the configuration should be: %w", address, err))
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

// adminOf is the address of the admin server in a file. A file with problems may tell it all the same: a reload of such a file is
// asked for like any other, so that what runs has noted it. other is what may be done where there is none.
func adminOf(path, other string) (string, error) {
	cfg, problems := loadConfig(path)
	a := cfg.Server.Admin
	switch {
	case a.Network == "unix":
		return "unix:" + a.Addr, nil
	case a.Network != "":
		return a.Addr, nil
	case len(problems) == 0:
		return "", fmt.Errorf("%s has no admin server: %sname an address with --admin", cfg.File, other)
	}
	usual := filepath.Join(filepath.Dir(cfg.File), strings.TrimPrefix(config.DefaultAdmin, "unix:"))
	if _, err := os.Stat(usual); err != nil {
		return "", problems
	}
	return "unix:" + usual, nil
}

func postReload(address string) (*outcome, error) {
	network, url := "tcp", "http://"+address+admin.ReloadPath
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address, url = "unix", path, "http://localhost"+admin.ReloadPath
	}
	client := &http.Client{Timeout: admin.ReloadTime, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	answer, err := client.Post(url, "", nil)
	if err != nil {
		return nil, errors.Unwrap(err) // what it was that was asked for has been said
	}
	defer answer.Body.Close()
	o := new(outcome)
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxOutcome))
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(body, o) != nil || o.Result == "" {
		return nil, fmt.Errorf("the answer is %s: %s", answer.Status, strings.TrimSpace(string(body)))
	}
	return o, nil
}
