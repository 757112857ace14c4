package main

import (
	"context"
	"time"

	"edge/runtime/accesslog"
	"edge/runtime/certs"
)

// takeUp takes up what changes, one thing after the other, on a goroutine of its own, until stopTakingUp: modules, what upstreams are spoken
// TLS with, and the configuration where somebody asks for it. It alone replaces the edition that runs.
func (p *process) takeUp() {
	p.reloads.ended = make(chan struct{})
	go func() {
		defer close(p.reloads.ended)
		look := time.NewTicker(certs.WatchTime)
		defer look.Stop()
		for {
			var changes <-chan string
			if p.modules != nil {
				changes = p.modules.Changes()
			}
			select {
			case <-p.reloads.stop:
				return
			case path := <-changes:
				if p.draining.Load() {
					continue // a compiler would only keep the end waiting
				}
				for _, f := range watched(p.live.Load().cfg, path) {
					p.takeChange(f)
				}
			case <-look.C:
				if p.live.Load().clients.Changed() {
					p.renewClients()
				}
			case answer := <-p.reloads.asked:
				answer <- p.reload()
			case <-p.reloads.hangup:
				p.reload()
			case do := <-p.around.tasks:
				do()
			}
		}
	}()
}

// stopTakingUp ends that, at the latest when the context does.
func (p *process) stopTakingUp(ctx context.Context) {
	close(p.reloads.stop)
	if p.reloads.ended != nil {
		select {
		case <-p.reloads.ended:
		case <-ctx.Done():
			return // what that goroutine owns it has yet
		}
	}
	if p.modules != nil {
		p.modules.Close()
	}
	p.tls.close()
}

// reopenLogs opens the files of logs anew, after a rotation.
func (p *process) reopenLogs() {
	if err := p.reopen(); err != nil {
		p.log.Error("the access log cannot be opened again, the file before stays in use", accesslog.Err(err))
		return
	}
	p.log.Info("the logs are open again")
}

// reopen changes to what is at the path of the access log now.
func (p *process) reopen() error {
	path := p.config().Log.Access
	if !isFile(path) {
		return nil
	}
	target, err := p.target(path)
	if err != nil {
		return err
	}
	return p.access.Switch(target)
}

// target opens a place for the access log.
func (p *process) target(name string) (*accesslog.Target, error) {
	if p.around.open == nil || !isFile(name) {
		return accesslog.OpenTarget(name)
	}
	f, err := p.around.open(name)
	if err != nil {
		return nil, err
	}
	return accesslog.FileTarget(f), nil
}

// isFile says whether the access log of that name is a file.
func isFile(access string) bool { return access != "off" && access != "stdout" && access != "stderr" }
