package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"edge/runtime/admin"
	"edge/runtime/config"
	"edge/runtime/control"
	"edge/runtime/control/confine"
)

// sandbox is the fence of one child: it is control.Fence.
type sandbox struct {
	*confine.Fence
	cache string
}

// sandboxFor makes what a child begins in.
func sandboxFor(cfg *config.Config, c *control.Credential, cache string) (control.Fence, error) {
	if cache != "" && cfg.Server.Sandbox && c == nil {
		_ = os.MkdirAll(cache, 0o700) // a child cannot make it; where it is not there the child will say so
	}
	root := os.Geteuid() == 0 && (c == nil || c.UID == 0)
	f, err := confine.New(reach(cfg, cache), confine.Options{Off: !cfg.Server.Sandbox, Root: root})
	if err != nil {
		return nil, err
	}
	return &sandbox{f, cache}, nil
}

// Covers is part of control.Fence.
func (s *sandbox) Covers(cfg *config.Config) bool { return s.Fence.Covers(reach(cfg, s.cache)) }

// reach is what a child that serves a configuration opens itself: what is not in control.Brokered.
func reach(cfg *config.Config, cache string) (p confine.Profile) {
	for i := range cfg.Filters {
		if m := cfg.Filters[i].Module; m != "" && !strings.HasPrefix(m, "builtin:") {
			// The directory, since a new version may be a new file; where the module is a link, that of what it leads to as well.
			p.Read = append(p.Read, filepath.Dir(m))
			if is, err := filepath.EvalSymlinks(m); err == nil {
				p.Read = append(p.Read, filepath.Dir(is))
			}
		}
	}
	for i := range cfg.Routes {
		if f := cfg.Routes[i].Files; f != nil {
			p.Read = append(p.Read, f.Root)
		}
	}
	slices.Sort(p.Read)
	p.Read = slices.Compact(p.Read) // a directory may serve thousands of routes
	if cache != "" {
		p.Write = []string{cache}
	}
	for i := range cfg.Upstreams {
		for _, s := range cfg.Upstreams[i].Servers {
			p.Abstract = p.Abstract || s.Address.Network == "unix" && strings.HasPrefix(s.Address.Addr, "@")
		}
	}
	return p.System()
}

// confineSelf is what a child does to itself before it does anything that somebody else has a say in. What could not be done is a warning.
func confineSelf(cfg *config.Config, user string) (warnings config.Problems) {
	err := confine.Self(confine.SelfOptions{Seccomp: cfg.Server.Sandbox, Hidden: user != ""})
	if err != nil {
		warnings = append(warnings, cfg.Warn([]any{"server", "sandbox"}, "", "a child is not confined as it should be: %v", err))
	}
	return warnings
}

// sandboxStatus is what is in force of it, of the children that serve.
func sandboxStatus(cfg *config.Config, children []control.Info) *admin.SandboxStatus {
	support := confine.Probe()
	s := &admin.SandboxStatus{State: admin.SandboxOff, UID: os.Geteuid(), Missing: []string{}}
	if cfg != nil && cfg.Server.Sandbox {
		s.State, s.Landlock, s.Seccomp = admin.SandboxOn, support.Landlock, support.Seccomp
		s.Missing = append(s.Missing, support.Missing()...)
	}
	for _, ch := range children {
		if is, err := confine.Look(ch.PID); err == nil && ch.State == control.Ready {
			s.UID, s.Seccomp = is.UID, s.Seccomp && is.Seccomp
		}
	}
	if s.State == admin.SandboxOn && (len(s.Missing) > 0 || !s.Seccomp) {
		s.State = admin.SandboxPartly
	}
	return s
}

// sandboxWarnings tell what this kernel does not have for children's confinement.
func sandboxWarnings(cfg *config.Config) (warnings config.Problems) {
	if cfg.Server.Sandbox {
		for _, missing := range confine.Probe().Missing() {
			warnings = append(warnings, cfg.Warn([]any{"server", "sandbox"}, `set it to "off" if that is known`, "there is %s", missing))
		}
	}
	return warnings
}
