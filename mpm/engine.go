package mpm

import (
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"edge/mpm/internal/admit"
	"edge/mpm/internal/poll"
	"edge/mpm/internal/queue"
)

// Bounds and defaults of the engine.
const (
	MaxPollers         = 8                // E1
	DefaultWorkers     = 16               // P10: ThreadsPerChild
	DefaultConnections = 100_000          // connections at once
	ShortLinger        = 2 * time.Second  // C7: linger after abuse
	DefaultLinger      = 30 * time.Second // C7
	LingerBytes        = 16 << 20         // bytes read while lingering; more is abuse and ends it
	lingerRead         = 4 << 10          // bytes of one read while lingering
	lingerReads        = 16               // reads of one turn while lingering
	backlog            = 4096
)

// Options are the engine's settings. Zero values mean the defaults.
type Options struct {
	Pollers     int   // E1: 0 is one per CPU, at most MaxPollers and never more than workers
	Workers     int   // DefaultWorkers
	Connections int   // most connections at once; beyond, the listeners close; DefaultConnections
	Child       int   // this process's number, part of connection ids (P9)
	MaxAccepted int   // connections after which Engine.Full says so (P3); 0 is never
	Times       Times // SetTimes changes them
	Log         *slog.Logger
	Cells       []*atomic.Uint64 // where workers say what they do, for ReadWork; those without have memory of their own
	Units       Handler          // runs what Engine.Unit begins; nil where there are no units

	clock     func() int64 // nanoseconds; tests replace it
	closeTime time.Duration
	accept    func(fd int) (int, netip.AddrPort, syscall.Errno)
}

// PollersFor is how many pollers an engine with these settings has (E1): 0 asks for one per CPU; never more than MaxPollers or than
// workers, of which 0 stands for DefaultWorkers, and never less than 1.
func PollersFor(pollers, workers int) int {
	if workers <= 0 {
		workers = DefaultWorkers
	}
	if pollers <= 0 {
		pollers = runtime.NumCPU()
	}
	return max(1, min(pollers, MaxPollers, workers))
}

func (o *Options) fill() {
	if o.Workers <= 0 {
		o.Workers = DefaultWorkers
	}
	o.Pollers = PollersFor(o.Pollers, o.Workers)
	if o.Connections <= 0 {
		o.Connections = DefaultConnections
	}
	o.Times.fill()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.clock == nil {
		start := time.Now()
		o.clock = func() int64 { return int64(time.Since(start)) + 1 }
	}
	if o.closeTime <= 0 {
		o.closeTime = CloseTime
	}
	if o.accept == nil {
		o.accept = poll.Accept
	}
}

// Stats are counters since the start. They only grow.
type Stats struct {
	Accepted        atomic.Uint64
	AcceptTransient atomic.Uint64 // E4: EINTR, ECONNABORTED
	AcceptExhausted atomic.Uint64 // E4: no descriptors, memory or network
	SetupFailed     atomic.Uint64 // C8
	DoorClosed      atomic.Uint64
	DoorOpened      atomic.Uint64
	QueueFull       atomic.Uint64 // E5
	Timeouts        atomic.Uint64 // write completion
	Lingered        atomic.Uint64
	Panics          atomic.Uint64
	Trims           atomic.Uint64 // times that memory was given back
	Closed          [Causes]atomic.Uint64
}

// Load is the engine's state at one moment.
type Load struct {
	Connections  int
	Pending      int // connections in the run queue
	Idle         int // workers without a connection
	Workers      int
	NotAccepting bool        // P8
	Phases       [Phases]int // connections by what they do
	StaleEvents  uint64      // events of sockets that were closed already
	Units        int         // not counted as connections, nor in Phases
}

// Engine runs pollers and workers. Its fields are set before Start; what changes later says whose it is.
type Engine struct {
	options   Options
	listeners []Listener
	handlers  []Handler
	pollers   []*poller
	queue     *queue.Queue[*Conn]
	clock     func() int64
	accept    func(fd int) (int, netip.AddrPort, syscall.Errno)
	log       *slog.Logger
	stats     Stats
	times     atomic.Pointer[Times]

	units        units
	connections  atomic.Int64
	notAccepting atomic.Bool
	ending       atomic.Uint32 // of type ending; it only grows
	abandoned    atomic.Bool   // Stop has given up waiting: nobody runs what is queued
	started      bool
	doorOpens    chan error    // has what became of Accept
	accepting    atomic.Bool   // Accept was called
	empty        chan struct{} // has a token when the last connection has gone while the engine ends
	unlistened   chan struct{} // closed when the listeners are
	full         chan struct{} // closed when MaxAccepted is reached

	// Poller 0's.
	admission  admit.Door
	acceptable []bool // listeners that may have connections waiting
	listening  bool   // until the engine ends
	opened     bool   // Accept has been heard
	turn       uint64 // round robin over pollers (E2)
	sequence   uint64 // of connection ids

	workers    []*worker // set by Start
	spare      *worker   // closes what the run queue has no room for
	spareMu    sync.Mutex
	pollersEnd sync.WaitGroup
	workersEnd sync.WaitGroup
	trimEnd    sync.WaitGroup
	untrimmed  chan struct{} // closed when memory is looked after no more
}

// New makes an engine for these listeners.
func New(o Options, listeners []Listener) (*Engine, error) {
	o.fill()
	e := &Engine{
		options: o, listeners: listeners, clock: o.clock, accept: o.accept, log: o.Log,
		queue:      queue.New[*Conn](o.Workers, runtime.GOMAXPROCS(0), o.Connections+MaxUnits),
		admission:  admit.Door{Workers: o.Workers, MaxConnections: o.Connections},
		acceptable: make([]bool, len(listeners)),
		doorOpens:  make(chan error, 1),
		empty:      make(chan struct{}, 1), unlistened: make(chan struct{}), full: make(chan struct{}), untrimmed: make(chan struct{}),
		listening: true,
	}
	e.queue.Relieved = e.relieved
	e.times.Store(&o.Times)
	if o.Workers == 1 { // A4
		e.log.Warn("workers = 1 closes the listeners at every request; at least 4 are advised")
	}
	for i := range listeners {
		l := &listeners[i]
		l.local, l.counts = poll.LocalAddr(l.FD), new(listenerCounts)
		l.parting, _ = l.Handler.(Parting)
		e.admit(l)
	}
	e.units.listener = Listener{FD: -1, Handler: o.Units, Name: "units", counts: new(listenerCounts)}
	e.units.gone = make(chan struct{}, 1)
	if o.Units != nil {
		e.admit(&e.units.listener)
	}
	for i := range o.Pollers {
		p, err := newPoller(e, i)
		if err != nil {
			for _, p := range e.pollers {
				p.set.Close()
			}
			return nil, err
		}
		e.pollers = append(e.pollers, p)
	}
	return e, nil
}

// admit numbers a listener's handler, once for all listeners that share it.
func (e *Engine) admit(l *Listener) {
	l.handler = len(e.handlers)
	for at, h := range e.handlers {
		if h == l.Handler {
			l.handler = at
			return
		}
	}
	e.handlers = append(e.handlers, l.Handler)
}

// Now is the engine's clock: nanoseconds since some moment, never 0.
func (e *Engine) Now() int64 { return e.clock() }

// Pollers is the number of pollers.
func (e *Engine) Pollers() int { return len(e.pollers) }

// Stats returns the counters.
func (e *Engine) Stats() *Stats { return &e.stats }

// Load looks at the engine. It walks every connection: for scrapes, not for requests.
func (e *Engine) Load() Load {
	l := Load{Connections: int(e.connections.Load()), Workers: e.options.Workers, NotAccepting: e.notAccepting.Load()}
	l.Pending, l.Idle = e.queue.Load()
	l.Units = e.unitCount()
	for _, p := range e.pollers {
		p.phases(&l.Phases)
		l.StaleEvents += p.staleCount.Load()
	}
	return l
}

// ListenerLoad is what one listener has brought so far.
type ListenerLoad struct {
	Name     string
	Accepted uint64 // since the start
	Open     int    // now
}

// ListenerLoads looks at the listeners, in the order given to New.
func (e *Engine) ListenerLoads() (list []ListenerLoad) {
	for i := range e.listeners {
		l := &e.listeners[i]
		list = append(list, ListenerLoad{l.Name, l.counts.accepted.Load(), int(l.counts.open.Load())})
	}
	return list
}

// Start has pollers and workers run. Accept follows.
func (e *Engine) Start() {
	e.spare = newWorker(e, -1)
	for i := range e.options.Workers {
		w := newWorker(e, i)
		e.workers = append(e.workers, w)
		e.workersEnd.Go(w.run)
	}
	for _, p := range e.pollers {
		e.pollersEnd.Go(p.run)
	}
	e.trimEnd.Go(func() { e.trim(e.untrimmed) })
	e.started = true
	if e.options.Units != nil {
		e.openUnits()
	}
}

// push queues a connection whose word is QUEUED. stranger: the caller is neither a worker nor a poller.
func (e *Engine) push(c *Conn, stranger bool) {
	if !e.queue.Push(c, stranger) {
		e.overflow(c)
	}
}

// overflow closes connections that the run queue did not take (E5). The queue holds as many as the engine lets in, so this is a
// guard, not a way of life.
func (e *Engine) overflow(list ...*Conn) {
	if len(list) == 0 || e.abandoned.Load() {
		return
	}
	e.spareMu.Lock()
	for _, c := range list {
		e.stats.QueueFull.Add(1)
		e.spare.refuse(c)
	}
	e.spareMu.Unlock()
	e.relieved()
}

// Listen opens a listening socket for New, on an address such as "127.0.0.1:8080" or "[::]:80".
func Listen(ap netip.AddrPort) (fd int, err error) { return poll.Listen(ap, backlog) }

// LocalAddr is the address a listening socket is bound to, with the port that the system chose for port 0.
func LocalAddr(fd int) netip.AddrPort { return poll.LocalAddr(fd) }

// CloseListener closes a listening socket that no engine has taken over.
func CloseListener(l Listener) { poll.Close(l.FD) }
