// Package admin is the server for operators: metrics, status and health, on a Unix socket that only edge's own user may
// open or on a loopback address. It runs beside the engine on net/http, in goroutines of its own, so it answers when
// the engine is overloaded.
package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// Bounds of the server.
const (
	maxConnections = 64
	maxHeaderBytes = 16 << 10
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 60 * time.Second
)

// Options say where the server listens and what it shows. Its functions may be called by several requests at once; one
// left nil makes its page answer 404, a health check without a function is passed.
type Options struct {
	Address string // "unix:path", or a loopback "host:port"

	// Metrics writes the metrics, MetricsType is their media type. Where it returns an error but has written
	// something, what was written is sent and the error logged.
	Metrics     func(io.Writer) error
	MetricsType string

	// Status returns what /status.json shows.
	Status func() *Status

	// Healthy and Ready return why the process is not alive, or should get no traffic now: 503 with that text.
	Healthy func() error
	Ready   func() error

	// Reload reads the configuration again, Upgrade has another binary take over. They return what has come of it, for encoding/json,
	// and the status: see ReloadPath.
	Reload, Upgrade func(context.Context) (outcome any, status int)

	// Drain begins to drain, where new connections are accepted for delay yet, and returns when none are any more.
	Drain func(ctx context.Context, delay time.Duration) (outcome any, status int)

	// Stop begins to stop, with now at once, and does not wait.
	Stop func(now bool) (outcome any)

	// Inherited is a listening socket for Address, which the server takes over, in place of one that it makes; nil: none. That of
	// another process which still has it, see HandOver.
	Inherited *os.File

	// Log gets what goes wrong, one message a call; nil drops it.
	Log func(message string)
}

// Server is a running admin server.
type Server struct {
	options Options
	http    http.Server
	address net.Addr
	local   bool // on a Unix socket
	done    chan struct{}
	socket  *socket

	mu   sync.Mutex
	held []net.Conn // guarded by mu: of those who wait for the end of the process, which closes them
}

// Listen opens the address and serves on it until Close. Errors: an address that is not loopback, one that is in use, a
// path where something else than an abandoned socket is.
func Listen(o Options) (*Server, error) {
	l, err := listen(o.Address, o.Inherited)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	s := &Server{options: o, address: l.Addr(), local: l.path != "", done: make(chan struct{}), socket: l}
	s.http = http.Server{
		Handler:           s.guard(s.pages()),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(logWriter(o.Log), "", 0),
	}
	go s.serve(bound(l, maxConnections))
	return s, nil
}

func (s *Server) serve(l net.Listener) {
	defer close(s.done)
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.options.Log("admin: " + err.Error())
	}
}

// logWriter turns net/http's messages over to Options.Log.
type logWriter func(string)

func (w logWriter) Write(p []byte) (int, error) {
	w("admin: " + strings.TrimSpace(string(p)))
	return len(p), nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.address }

// Socket is a descriptor of its own of the listening socket, for a process that is to take the server's place. The caller closes it.
func (s *Server) Socket() (fd int, err error) { return s.socket.duplicate() }

// HandOver says that another process has the listening socket: Close leaves it in its place, and connections that wait are the other's.
func (s *Server) HandOver() { s.socket.kept.Store(true) }

// Close takes no more connections, removes the socket, and waits for the answers under way until ctx ends; then it
// cuts them off and returns the context's error.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	<-s.done
	return err
}

func (s *Server) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /status.json", s.statusJSON)
	mux.HandleFunc("GET /status", s.statusPage)
	mux.HandleFunc("POST /reload", s.task(ReloadTime, s.options.Reload))
	mux.HandleFunc("POST /upgrade", s.task(UpgradeTime, s.options.Upgrade))
	mux.HandleFunc("POST /drain", s.drain)
	mux.HandleFunc("POST /stop", s.stop)
	mux.HandleFunc("GET /healthz", check(s.options.Healthy))
	mux.HandleFunc("GET /readyz", check(s.options.Ready))
	return mux
}

// guard refuses, on TCP, requests whose Host is not a name of this machine: a web page that has its own name resolve
// to 127.0.0.1 could read the answers otherwise.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if !s.local && !loopbackHost(r.Host) {
			http.Error(w, "the admin server answers to localhost only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackHost says whether a Host value is "localhost" or a loopback address, with any port or none.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if s.options.Metrics == nil {
		http.NotFound(w, r)
		return
	}
	var b bytes.Buffer
	if err := s.options.Metrics(&b); err != nil {
		s.options.Log("admin: metrics: " + err.Error())
		if b.Len() == 0 {
			http.Error(w, "the metrics cannot be read", http.StatusInternalServerError)
			return
		}
	}
	if s.options.MetricsType != "" {
		w.Header().Set("Content-Type", s.options.MetricsType)
	}
	w.Write(b.Bytes())
}

func (s *Server) statusJSON(w http.ResponseWriter, r *http.Request) {
	if s.options.Status == nil {
		http.NotFound(w, r)
		return
	}
	b, err := json.Marshal(s.options.Status())
	if err != nil {
		s.options.Log("admin: status: " + err.Error())
		http.Error(w, "the status cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(b, '\n'))
}

func check(ask func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if ask != nil {
			if err := ask(); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				io.WriteString(w, err.Error()+"\n")
				return
			}
		}
		io.WriteString(w, "ok\n")
	}
}
