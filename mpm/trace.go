package mpm

import (
	"context"
	"log/slog"
)

// LevelTrace is the level of what is logged per event of a connection: below debug, and free when off (L1).
const LevelTrace = slog.LevelDebug - 4

// trace logs a step of a connection's life. The caller owns the connection, or nobody else can reach it yet.
func (e *Engine) trace(what string, c *Conn) { e.tell(LevelTrace, what, c) }

// debug logs what is worth a line at debug level: timeouts (C6).
func (e *Engine) debug(what string, c *Conn) { e.tell(slog.LevelDebug, what, c) }

func (e *Engine) tell(level slog.Level, what string, c *Conn) {
	if !e.log.Enabled(context.Background(), level) {
		return
	}
	e.log.LogAttrs(context.Background(), level, what,
		slog.Uint64("connection", c.id), slog.Int("poller", c.poller.index), slog.String("phase", c.phase.String()))
}
