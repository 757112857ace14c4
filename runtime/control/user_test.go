package control

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"
)

// TestP2Credential: whose rights children get, and what is said where they cannot.
func TestP2Credential(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody on this machine:", err)
	}
	group, err := user.LookupGroupId(nobody.Gid)
	if err != nil {
		t.Skip("nobody has no group on this machine:", err)
	}
	const root, other = 0, 4242
	for _, c := range []struct {
		server string
		uid    int
		want   string // "UID GID", "" for none, or a problem
	}{
		{"", root, ""},
		{`user = "nobody"`, root, nobody.Uid + " " + nobody.Gid},
		{`user = "` + nobody.Uid + `"`, root, nobody.Uid + " " + nobody.Gid},
		{"user = \"nobody\"\ngroup = \"" + group.Name + `"`, root, nobody.Uid + " " + nobody.Gid},
		{"user = \"nobody\"\ngroup = \"0\"", root, nobody.Uid + " 0"},
		{`group = "` + nobody.Gid + `"`, root, "0 " + nobody.Gid},
		{`user = "no-such-user"`, root, `edge.toml:4: server.user: no user "no-such-user"; name a user of this machine, such as "nobody"`},
		{`group = "no-such-group"`, root, `edge.toml:4: server.group: no group "no-such-group"; name a group of this machine`},
		{`user = "nobody"`, other, "edge.toml:4: server.user: only root may start children as nobody; start edge as root, or leave it out"},
		{`user = "4242"`, other, `no user "4242"`},
	} {
		_, cfg := parsed(t, "", c.server)
		got, problems := CredentialOf(cfg, c.uid)
		said := ""
		switch {
		case len(problems) > 0:
			said = problems.Error()
		case got != nil:
			said = strings.Join([]string{decimal(got.UID), decimal(got.GID)}, " ")
		}
		if said != c.want && (c.want == "" || !strings.Contains(said, c.want)) {
			t.Errorf("%q as %d: %q, want %q", c.server, c.uid, said, c.want)
		}
		if got != nil && c.server == `user = "nobody"` && (len(got.Groups) == 0 || decimal(got.Groups[0]) != nobody.Gid) {
			t.Errorf("%q: the groups are %v", c.server, got.Groups)
		}
	}
	me, err := user.Current()
	if err != nil || os.Getuid() == 0 {
		return
	}
	_, cfg := parsed(t, "", `user = "`+me.Username+`"`)
	if got, problems := CredentialOf(cfg, os.Getuid()); got != nil || len(problems) > 0 {
		t.Errorf("its own user: %+v, %v", got, problems)
	}
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
