package control

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"edge/runtime/config"
)

// Credential is whose rights a child has.
type Credential struct {
	UID, GID uint32
	Groups   []uint32
}

// CredentialOf looks up whose rights the children of a configuration are to have (P2); nil: those of this process, whose user id is uid.
func CredentialOf(cfg *config.Config, uid int) (*Credential, config.Problems) {
	s := &cfg.Server
	if s.User == "" && s.Group == "" {
		return nil, nil
	}
	var problems config.Problems
	wrong := func(key, remedy string, err error) {
		problems = append(problems, cfg.Problem([]any{"server", key}, remedy, "%v", err))
	}
	c := &Credential{UID: uint32(uid), GID: uint32(os.Getgid())}
	if s.User != "" {
		if err := c.become(s.User, s.Group == ""); err != nil {
			wrong("user", "name a user of this machine, such as \"nobody\"", err)
		}
	}
	if s.Group != "" {
		gid, err := groupID(s.Group)
		if err != nil {
			wrong("group", "name a group of this machine", err)
		}
		c.GID, c.Groups = gid, []uint32{gid}
	}
	switch {
	case len(problems) > 0:
		return nil, problems
	case uid == 0:
		return c, nil
	case c.UID != uint32(uid):
		wrong("user", "start edge as root, or leave it out", fmt.Errorf("only root may start children as %s", s.User))
	case c.GID != uint32(os.Getgid()):
		wrong("group", "start edge as root, or leave it out", fmt.Errorf("only root may start children with the group %s", s.Group))
	}
	return nil, problems
}

// become fills in a user's ids, and with group that of the user's own group.
func (c *Credential) become(name string, group bool) error {
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		if u, err = user.LookupId(name); err != nil {
			return fmt.Errorf("no user %q", name)
		}
	}
	if err != nil {
		return err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return err
	}
	if c.UID, err = id(u.Uid); err != nil {
		return err
	}
	if group {
		if c.GID, err = id(u.Gid); err != nil {
			return err
		}
	}
	for _, text := range ids {
		g, err := id(text)
		if err != nil {
			return err
		}
		c.Groups = append(c.Groups, g)
	}
	return nil
}

func groupID(name string) (uint32, error) {
	g, err := user.LookupGroup(name)
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) {
		if g, err = user.LookupGroupId(name); err != nil {
			return 0, fmt.Errorf("no group %q", name)
		}
	}
	if err != nil {
		return 0, err
	}
	return id(g.Gid)
}

func id(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}
