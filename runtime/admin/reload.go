package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// ReloadTime bounds a reload that is asked for here, its wait for others included: what takes longer goes on, but nobody is told.
const ReloadTime = 10 * time.Minute

// ReloadPath is where a reload is asked for, with POST. The answer is 200 where the new configuration serves, 422 where it cannot be
// used, 503 where nobody has looked at it; its body is the outcome as JSON.
const ReloadPath = "/reload"

// reload answers when the reload is over. No page of another origin can ask for one: browsers say where a request comes from.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if s.options.Reload == nil {
		http.NotFound(w, r)
		return
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	deadlines := http.NewResponseController(w) // they are the connection's, which has both; else the wait would end with the read's
	deadlines.SetReadDeadline(time.Time{})
	deadlines.SetWriteDeadline(time.Now().Add(ReloadTime + writeTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), ReloadTime)
	defer cancel()
	outcome, status := s.options.Reload(ctx)
	body, err := json.MarshalIndent(outcome, "", "  ")
	if err != nil {
		s.options.Log("admin: reload: " + err.Error())
		http.Error(w, "the outcome cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
