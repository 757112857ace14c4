package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// What edge is asked to do, with POST. The answer is 200 where it has been done, 422 where it cannot be, 503 where nobody has tried; its
// body is the outcome as JSON.
const (
	ReloadPath  = "/reload"
	UpgradePath = "/upgrade"
	DrainPath   = "/drain" // ?delay=5s: how long connections are accepted yet
	StopPath    = "/stop"  // ?now=true: without finishing anything
)

// How long the answers take at most, their wait for others included: what takes longer goes on, but nobody is told.
const (
	ReloadTime  = 10 * time.Minute
	UpgradeTime = 15 * time.Minute
)

// MaxDelay is the longest delay of DrainPath.
const MaxDelay = time.Hour

// checkOrigin refuses what a page of another origin asks for: browsers say where a request comes from.
func checkOrigin(w http.ResponseWriter, r *http.Request) bool {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return false
	}
	return true
}

// task answers with the outcome of something that takes at most limit, when it is over.
func (s *Server) task(limit time.Duration, do func(context.Context) (any, int)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if do == nil {
			http.NotFound(w, r)
			return
		}
		if !checkOrigin(w, r) {
			return
		}
		deadlines := http.NewResponseController(w) // they are the connection's, which has both; else the wait would end with the read's
		deadlines.SetReadDeadline(time.Time{})
		deadlines.SetWriteDeadline(time.Now().Add(limit + writeTimeout))
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		outcome, status := do(ctx)
		s.answer(w, outcome, status)
	}
}

func (s *Server) answer(w http.ResponseWriter, outcome any, status int) {
	body, err := json.MarshalIndent(outcome, "", "  ")
	if err != nil {
		s.options.Log("admin: " + err.Error())
		http.Error(w, "the outcome cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// drain answers when no more connections are accepted.
func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	delay := time.Duration(0)
	if text := r.URL.Query().Get("delay"); text != "" {
		var err error
		if delay, err = time.ParseDuration(text); err != nil || delay < 0 || delay > MaxDelay {
			http.Error(w, fmt.Sprintf("delay: %q is not a duration between 0s and %v", text, MaxDelay), http.StatusBadRequest)
			return
		}
	}
	var do func(context.Context) (any, int)
	if s.options.Drain != nil {
		do = func(ctx context.Context) (any, int) { return s.options.Drain(ctx, delay) }
	}
	s.task(delay+writeTimeout, do)(w, r)
}

// stop says that edge stops, and leaves the connection open: its end is that of the process, so whoever waits for that need not look for
// it. What Farewell says comes before.
func (s *Server) stop(w http.ResponseWriter, r *http.Request) {
	if s.options.Stop == nil {
		http.NotFound(w, r)
		return
	}
	if !checkOrigin(w, r) {
		return
	}
	now := r.URL.Query().Get("now") == "true"
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock() // Farewell comes after what follows
	s.held = append(s.held, conn)
	body, err := json.Marshal(s.options.Stop(now))
	if err != nil {
		s.options.Log("admin: " + err.Error())
	}
	conn.SetDeadline(time.Now().Add(farewellTime))
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s\n", body)
}

// farewellTime bounds what is waited for those who are told of the end.
const farewellTime = time.Second

// Farewell tells everybody who waits for the end of the process how it has stopped: the second line of JSON that they get. Whoever waits
// has a connection that stays open as long as the process lives.
func (s *Server) Farewell(outcome any) {
	body, err := json.Marshal(outcome)
	if err != nil {
		s.options.Log("admin: " + err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end := time.Now().Add(farewellTime)
	for _, c := range s.held {
		c.SetWriteDeadline(end)
		c.Write(append(body, '\n'))
	}
}
