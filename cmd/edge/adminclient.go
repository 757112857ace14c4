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
	"time"

	"github.com/spf13/cobra"

	"edge/runtime/config"
)

// answerBytes is the size of the longest answer of an admin server that is read.
const answerBytes = 16 << 20

// target says which running edge a verb asks: the one whose admin address a file has, or the one at an address.
type target struct{ path, address string }

// flags adds -c and --admin to a verb.
func (t *target) flags(c *cobra.Command) {
	fileFlag(c, &t.path)
	c.Flags().StringVar(&t.address, "admin", "", "the `address` of the admin server, in place of the file's: unix:path or host:port")
}

// client is the client for it. other is what may be done where the file has no admin server: "send SIGHUP to edge, or ", or "".
func (t *target) client(other string) (*adminClient, error) {
	if t.address != "" {
		return newAdminClient(t.address), nil
	}
	address, err := adminOf(t.path, other)
	if err != nil {
		return nil, err
	}
	return newAdminClient(address), nil
}

// adminOf is the address of the admin server in a file. A file with problems may tell it all the same: a reload of such a file is
// asked for like any other, so that what runs has noted it.
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

// adminClient asks the admin server of a running edge.
type adminClient struct {
	name string // its address, as operators write it
	http http.Client
}

func newAdminClient(name string) *adminClient {
	network, address := "tcp", name
	if path, ok := strings.CutPrefix(name, "unix:"); ok {
		network, address = "unix", path
	}
	return &adminClient{name: name, http: http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}}
}

// ask has a page answered within limit, and reads its JSON into v: with every status, since refusals are told in it too. It returns
// the text and the status. Errors: nothing answers, it is not for this user, or what answers does not speak of v.
func (c *adminClient) ask(ctx context.Context, limit time.Duration, method, page string, v any) (text []byte, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, "http://localhost"+page, nil)
	if err != nil {
		return nil, 0, err
	}
	answer, err := c.http.Do(q)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, 0, fmt.Errorf("what answers at %s takes longer than %v", c.name, limit)
	}
	if err != nil {
		return nil, 0, c.unreached(err)
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(io.LimitReader(answer.Body, answerBytes))
	if err == nil && !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
		err = fmt.Errorf("it answers %s: %.200s", answer.Status, strings.TrimSpace(string(text)))
	}
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("what answers at %s is no edge that knows %s: %w", c.name, page, err)
	}
	return text, answer.StatusCode, nil
}

// unreached is why there is no answer.
func (c *adminClient) unreached(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%s may be opened only by the user that edge runs as, and root", c.name)
	}
	return fmt.Errorf("nothing answers at %s; is edge running?", c.name)
}
