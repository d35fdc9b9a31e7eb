package enforcer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/certvigil/certvigil/enforcer/http1"
	"github.com/certvigil/certvigil/enforcer/origin"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inuse"
	"github.com/certvigil/certvigil/internal/ratelimit"
	"github.com/certvigil/certvigil/internal/watch"
)

// Options configure an [Enforcer]. The zero value is usable.
type Options struct {
	Now     func() time.Time // default time.Now
	Logger  *slog.Logger     // default discards
	Metrics Metrics

	// AccessLog is called once for each request that has ended, refused ones
	// included; nil costs nothing. It must not block, nor keep the record.
	AccessLog func(*Access)

	// Sighted is called for each certificate that is seen and vouched for, once
	// an hour for each connection and host name at most; nil costs nothing. It
	// must not block.
	Sighted func(Sighting)

	// Renewer takes the certificates that clients renew for themselves; nil:
	// there is no such address.
	Renewer Renewer

	HandshakeTimeout time.Duration // default 10 s
	OriginTimeout    time.Duration // until the origin's response head; default 100 s
	MaxHandshakes    int           // at once, the rest waits; default 512

	HeaderTimeout      time.Duration // to send a request head; default 10 s
	BodyTimeout        time.Duration // without a byte of a request body, or of an answer taken; default 2 min
	IdleTimeout        time.Duration // between requests; default 2 min
	ConnectionLifetime time.Duration // after which a connection is asked to end; default 24 h
	MaxHeaderBytes     int           // of a request head; default 64 KiB
	MaxChainBytes      int           // of a client's certificates; default 64 KiB

	NetHTTPOnly bool // leave all of HTTP/1.1 to net/http, and none of it to package http1
}

// Metrics are called for what happens on the listener; nil functions are
// skipped. All may be called concurrently. Names are those of the applications,
// reasons from [Reason]: both are bounded.
type Metrics struct {
	Handshake func(resumed bool, err error)
	Request   func(application string, admitted bool, reason Reason)
	CutOff    func(application string, reason Reason) // a request in flight lost its admission

	Verified    func(took time.Duration, remembered bool)    // a verdict was looked up (took is 0) or taken
	Origin      func(application string, took time.Duration) // until the origin's response head
	Connections func(delta int)                              // opened or closed, after the handshake
}

const (
	maxStreams       = 250
	sweepInterval    = 250 * time.Millisecond
	maxAcceptBackoff = time.Second
)

// An Enforcer is the listener. All methods may be called concurrently.
type Enforcer struct {
	now     func() time.Time
	log     *slog.Logger
	metrics Metrics

	accessLog func(*Access)
	sighted   func(Sighting)
	renewer   Renewer
	renewals  *ratelimit.Limiter // by client certificate

	applying sync.Mutex // serialises Apply
	current  atomic.Pointer[snapshot]
	flights  inuse.Set[*flight] // requests being served
	clients  inuse.Set[*client] // open connections
	limits   Options            // of which the limits count
	throttle throttle

	outer  *tls.Config // asks for the configuration of each client
	sealer *sealer     // outlives every state
	slots  *slots

	server   *http.Server
	everyday *http1.Server // takes HTTP/1.1 first; nil: the server has all of it
	origins  *origin.Pool
	ready    *handoff // handshaken connections, on their way to the server

	life     context.Context // ends with Shutdown
	end      context.CancelFunc
	watching sync.Once
	closing  sync.Mutex
	listener []net.Listener
}

// New returns an enforcer that refuses everything until [Enforcer.Apply].
func New(opts Options) (*Enforcer, error) {
	if err := setDefaults(&opts); err != nil {
		return nil, err
	}
	e := &Enforcer{
		now:       opts.Now,
		log:       opts.Logger,
		metrics:   opts.Metrics,
		accessLog: opts.AccessLog,
		sighted:   opts.Sighted,
		renewer:   opts.Renewer,
		renewals:  newRenewalLimit(opts.Now),
		limits:    opts,
		slots:     newSlots(opts.MaxHandshakes),
		ready:     newHandoff(),
	}
	e.life, e.end = context.WithCancel(context.Background())
	e.sealer = newSealer(opts.Now)
	e.outer = &tls.Config{
		MinVersion: tls.VersionTLS12,
		Time:       opts.Now,
		NextProtos: nextProtos,
		// The configuration comes from the callback alone. There is no
		// certificate here, so a callback that returned none could serve nobody.
		GetConfigForClient: e.configForClient,
	}
	e.origins = origin.NewPool(origin.Options{HeaderTimeout: opts.OriginTimeout})
	e.server = e.newServer()
	if !opts.NetHTTPOnly {
		e.everyday = e.newEveryday()
	}
	return e, nil
}

func setDefaults(opts *Options) error {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	for name, err := range map[string]error{
		"HandshakeTimeout":   orDefault(&opts.HandshakeTimeout, 10*time.Second),
		"OriginTimeout":      orDefault(&opts.OriginTimeout, 100*time.Second),
		"HeaderTimeout":      orDefault(&opts.HeaderTimeout, 10*time.Second),
		"BodyTimeout":        orDefault(&opts.BodyTimeout, 2*time.Minute),
		"IdleTimeout":        orDefault(&opts.IdleTimeout, 2*time.Minute),
		"ConnectionLifetime": orDefault(&opts.ConnectionLifetime, 24*time.Hour),
		"MaxHandshakes":      orDefault(&opts.MaxHandshakes, 512),
		"MaxHeaderBytes":     orDefault(&opts.MaxHeaderBytes, 64<<10),
		"MaxChainBytes":      orDefault(&opts.MaxChainBytes, 64<<10),
	} {
		if err != nil {
			return fault.New(fault.Invalid, "enforcer_options", "%s of the listener: %w", name, err)
		}
	}
	return nil
}

func orDefault[T time.Duration | int](limit *T, otherwise T) error {
	if *limit < 0 {
		return errors.New("is negative")
	}
	if *limit == 0 {
		*limit = otherwise
	}
	return nil
}

func (e *Enforcer) newServer() *http.Server {
	return &http.Server{
		Handler:           e,
		ReadHeaderTimeout: e.limits.HeaderTimeout,
		IdleTimeout:       e.limits.IdleTimeout,
		MaxHeaderBytes:    e.limits.MaxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, CountError: e.http2Error},
		// OPTIONS * would otherwise be answered without a verdict.
		DisableGeneralOptionsHandler: true,
		ConnContext:                  withClient,
		ConnState:                    e.follow,
		ErrorLog:                     slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
	}
}

func (e *Enforcer) newEveryday() *http1.Server {
	return http1.New(http1.Options{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			e.ServeHTTP(w, r)
			if c, ours := clientOf(r); ours {
				c.owesBody.Store(false) // else the answer is the connection's last
			}
		}),
		Fallback: e.ready.pass,
		HeadRefused: func(secure *tls.Conn) {
			if c := clientBelow(secure); c != nil {
				e.headRefused(c)
			}
		},
		HeaderTimeout:  e.limits.HeaderTimeout,
		IdleTimeout:    e.limits.IdleTimeout,
		MaxHeaderBytes: e.limits.MaxHeaderBytes,
		Now:            e.now,
		Logger:         e.log,
	})
}

// Apply validates the state and makes it the current one for every request
// from now on; requests in flight that it no longer admits are cut off before
// Apply returns. On an error, of kind fault.Invalid, the old state stays.
func (e *Enforcer) Apply(state State) error {
	e.applying.Lock()
	defer e.applying.Unlock()
	next, err := e.compile(state)
	if err != nil {
		return err
	}
	if old := e.current.Load(); old != nil {
		next.seq = old.seq + 1
	}
	e.current.Store(next)
	e.sweep()
	return nil
}

// Check tells why Apply would refuse the applications of a state, and whom it
// takes without SNI, whatever the rest of it is.
func (e *Enforcer) Check(state State) error {
	s := &snapshot{sites: names[*site]{}}
	if err := s.compileSites(state); err != nil {
		return err
	}
	return s.compileDefault(state)
}

// Serve accepts connections on l until [Enforcer.Shutdown], after which it
// returns nil. It closes l. It may be called for several listeners.
func (e *Enforcer) Serve(l net.Listener) error {
	if !e.open(l) {
		return l.Close()
	}
	go e.accept(l)
	e.watching.Do(func() {
		go watch.Loop(e.life.Done(), sweepInterval, e.sweep)
		go watch.Loop(e.life.Done(), watch.Interval(e.limits.BodyTimeout, maxWatch), e.watch)
	})
	err := e.server.Serve(e.ready)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// open notes the listener, unless the enforcer is already shut down.
func (e *Enforcer) open(l net.Listener) bool {
	e.closing.Lock()
	defer e.closing.Unlock()
	if e.life.Err() != nil {
		return false
	}
	e.listener = append(e.listener, l)
	return true
}

// Shutdown stops accepting, lets requests end until ctx is done, then closes
// what is left. WebSockets have no end of their own: they are closed as soon
// as the requests are through. It returns ctx's error if that came first. The
// access log has got the records of all requests by then, but for those that
// an origin, or the log itself, holds up.
func (e *Enforcer) Shutdown(ctx context.Context) error {
	e.closing.Lock()
	e.end()
	for _, l := range e.listener {
		_ = l.Close() // the accept loop ends by it; there is nothing to save
	}
	e.closing.Unlock()
	e.refuseClients()

	err := e.drain(ctx)
	e.cutAll(errShutdown)
	err = errors.Join(err, e.flights.Wait(ctx))
	_ = e.server.Close() // what the drain left over
	if e.everyday != nil {
		e.everyday.Close()
	}
	e.origins.Close()
	e.awaitRecords()
	return err
}

// awaitRecords lets requests whose connections have been closed end.
func (e *Enforcer) awaitRecords() {
	ctx, cancel := context.WithTimeout(context.Background(), abortGrace)
	defer cancel()
	_ = e.flights.Wait(ctx) // what still has not ended is not worth more
}

// drain lets both servers end what they serve.
func (e *Enforcer) drain(ctx context.Context) error {
	if e.everyday == nil {
		return e.server.Shutdown(ctx)
	}
	drained := make(chan error, 1)
	go func() { drained <- e.everyday.Shutdown(ctx) }()
	return errors.Join(e.server.Shutdown(ctx), <-drained)
}

var errShutdown = errors.New("the listener is shutting down")

// accept hands each connection to a goroutine of its own, so that a slow
// handshake delays nobody else's.
func (e *Enforcer) accept(l net.Listener) {
	var backoff time.Duration
	for {
		conn, err := l.Accept()
		if err == nil {
			backoff = 0
			go e.handshake(conn)
			continue
		}
		if e.life.Err() != nil || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
			return
		}
		// Out of file descriptors, most often: wait for some to be freed.
		backoff = min(max(2*backoff, 5*time.Millisecond), maxAcceptBackoff)
		e.log.Warn("accepting connections failed", "error", err, "retry_in", backoff)
		select {
		case <-time.After(backoff):
		case <-e.life.Done():
			return
		}
	}
}
