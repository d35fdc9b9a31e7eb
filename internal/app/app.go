// Package app joins the subsystems into a daemon: it is the only package that
// knows all of them. New opens what is needed and checks that it fits
// together, Start sets it going, Reload takes over another configuration whole
// or not at all, and Stop ends everything in the reverse order.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/accesslog"
	"github.com/certvigil/certvigil/internal/alerting"
	"github.com/certvigil/certvigil/internal/api"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
	"github.com/certvigil/certvigil/internal/metrics"
	"github.com/certvigil/certvigil/internal/store"
	"github.com/certvigil/certvigil/notifier"
	"github.com/certvigil/certvigil/scanner"
)

// What the store must be able to do for each of its consumers.
var (
	_ scanner.Inventory = (*store.Store)(nil)
	_ notifier.Outbox   = (*store.Store)(nil)
	_ inventory.Store   = (*store.Store)(nil)
	_ alerting.Store    = (*store.Store)(nil)
)

// parts is how many parts may fail at once, each without having to wait.
const parts = 11

// Options are what a daemon needs. ConfigPath and Getenv are required.
type Options struct {
	ConfigPath string
	Getenv     func(string) (string, bool) // as os.LookupEnv
	Logger     *slog.Logger                // nil = none
	Now        func() time.Time            // nil = time.Now
}

// An App is the daemon. Its methods may be called concurrently.
type App struct {
	o     Options
	log   *slog.Logger
	clock *floorClock

	reloading sync.Mutex // held for a whole reload; only that changes cfg
	stamps    fileStamps // of the files that cfg names, from before they were read

	// declaring is held, before mu, while cfg changes and while a change of the
	// API's applications is held against it: longer than trust may wait.
	declaring sync.Mutex

	mu      sync.Mutex // guards what follows; held while trust is applied
	cfg     *config.Config
	stored  alerting.Stored // the policies and destinations in force
	overdue bool            // cfg could not be put in force again: the watcher does
	lists   *listCache
	signing []string      // kids of the signing keys in force, in their order
	overlap time.Duration // for which they stay published after they signed
	guarded []string      // names of the applications in force

	store     *store.Store
	enforcer  *enforcer.Enforcer
	accessLog *accesslog.Log // nil = none
	sightings *sightings
	scanner   *scanner.Scanner
	heapFloor []byte // as long as the daemon runs
	notifier  *notifier.Notifier
	metrics   *metrics.Metrics
	links     *renewalLinks // nil = none
	admin     *adminServer
	refresher *refresher

	accepted time.Time   // when an operator last confirmed the clock, as of New
	restored atomic.Bool // from a backup, and what goes again was said at this start

	run     context.Context // ends when the daemon is to stop
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	failed  chan error
	closers []closer // closed in the reverse order
	stopped sync.Once
	stopErr error
}

// A closer is one thing that was opened.
type closer struct {
	name  string
	close func() error
}

// New reads the configuration, locks and opens the store, and builds every
// part. On an error nothing is left open.
func New(ctx context.Context, o Options) (*App, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &App{o: o, log: o.Logger, clock: &floorClock{wall: o.Now}, failed: make(chan error, parts)}
	a.run, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	a.refresher = a.newRefresher()
	if err := a.build(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *App) build(ctx context.Context) (err error) {
	if a.cfg, a.stamps, err = a.load(); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{a.openStore, a.buildNotifier, a.buildScanner, a.buildEnforcer, a.buildAdmin} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) onClose(name string, fn func() error) { a.closers = append(a.closers, closer{name, fn}) }

func (a *App) openStore(ctx context.Context) error {
	unlock, err := store.Lock(a.cfg.Storage.DSN)
	if err != nil {
		return err
	}
	a.onClose("daemon lock", unlock)
	if a.store, err = OpenStore(ctx, a.cfg.Storage, a.o.Now); err != nil {
		return err
	}
	a.onClose("store", a.store.Close)
	if err := a.store.Recover(ctx); err != nil {
		return err
	}
	last, err := a.store.LastScan(ctx)
	if err != nil {
		return err
	}
	if a.accepted, err = a.store.AcceptedClock(ctx); err != nil {
		return err
	}
	a.clock.confirm(confirmed(last, a.accepted, a.o.Now()))
	return nil
}

// OpenStore opens the store that the configuration names, for a daemon or a
// command. A nil now means time.Now.
func OpenStore(ctx context.Context, c config.Storage, now func() time.Time) (*store.Store, error) {
	return store.Open(ctx, store.Options{DSN: c.DSN, KeyFile: c.KeyFile, Now: now})
}

func (a *App) buildNotifier(ctx context.Context) error {
	a.links = a.openLinks(ctx)
	a.metrics = metrics.New(metrics.Options{Version: Version(), Collect: a.collect})
	r, err := openRosterOf(ctx, a.cfg, a.store)
	if err != nil {
		return err
	}
	a.stored = r.stored
	s, err := r.setup(a.o.Now, a.store)
	if err != nil {
		return err
	}
	a.notifier, err = notifier.New(notifier.Options{
		Setup: s, Outbox: a.store, Now: a.o.Now, Logger: a.log, Held: func() bool { return a.scanner.Held() }, Links: a.links.of, Facts: a.store.Facts, Metrics: notifier.Metrics{
			Attempt: a.metrics.Attempt, Sent: a.metrics.Sent, Failing: a.metrics.ChannelFailing,
		},
	})
	return err
}

func (a *App) buildScanner(context.Context) (err error) {
	o := scannerOptions(a.roster(), a.store, a.o.Now)
	o.Logger, o.OnScanned = a.log, a.scanned
	a.scanner, err = scanner.New(o)
	return err
}

func scannerOptions(r roster, s *store.Store, now func() time.Time) scanner.Options {
	return scanner.Options{
		Inventory: s, Rules: r.rules(), Schedule: r.cfg.Scanner.Schedule, Location: r.cfg.Scanner.Location(), Now: now,
	}
}

func (a *App) buildEnforcer(ctx context.Context) (err error) {
	a.lists = &listCache{store: a.store, log: a.log}
	if err := a.openAccessLog(); err != nil {
		return err
	}
	a.sightings = newSightings(a.store, a.metrics.SightingsLost, a.log)
	a.onClose("sightings", a.sightings.close)
	a.enforcer, err = enforcer.New(a.enforcerOptions())
	if err != nil {
		return err
	}
	return a.applyTrust(ctx, a.cfg)
}

func (a *App) enforcerOptions() enforcer.Options {
	l := a.cfg.Enforcer.Limits
	o := enforcer.Options{
		Now: a.clock.now, Logger: a.log, Metrics: enforcer.Metrics{
			Handshake: func(resumed bool, err error) { a.metrics.Handshake(resumed, enforcer.HandshakeClass(err)) },
			Request: func(application string, admitted bool, reason enforcer.Reason) {
				a.metrics.Request(application, admitted, string(reason))
			},
			CutOff:   func(application string, reason enforcer.Reason) { a.metrics.CutOff(application, string(reason)) },
			Verified: a.metrics.Verified, Origin: a.metrics.Origin, Connections: a.metrics.Connections,
		},
		HandshakeTimeout: l.HandshakeTimeout.Duration, HeaderTimeout: l.HeaderTimeout.Duration, BodyTimeout: l.BodyTimeout.Duration,
		IdleTimeout: l.IdleTimeout.Duration, ConnectionLifetime: l.ConnectionLifetime.Duration,
		MaxHeaderBytes: l.HeaderBytes, MaxChainBytes: l.ChainBytes, MaxHandshakes: l.Handshakes,
		NetHTTPOnly: !a.cfg.Enforcer.HTTP1FastPath,
	}
	o.Renewer = clientRenewals{inventory.New(a.store, a.o.Now)}
	o.Sighted = a.sightings.note
	if a.accessLog != nil {
		o.AccessLog = a.accessLog.Write
	}
	return o
}

// guards reports whether there is a listener to guard with, also while there is
// no application: the first one may come by the API.
func guards(cfg *config.Config) bool {
	return cfg.Enforcer.Listen != "" && len(cfg.Enforcer.Certificates) > 0
}

// applyTrust hands the enforcer the present state. On an error the last good
// one stays in force.
func (a *App) applyTrust(ctx context.Context, cfg *config.Config) error {
	if !guards(cfg) {
		return nil
	}
	state, err := enforcerState(ctx, cfg, a.store, a.lists, a.o.Now())
	if err != nil {
		err = fmt.Errorf("reading what is trusted: %w", err)
	} else if err = a.enforcer.Apply(state); err != nil {
		err = fmt.Errorf("applying what is trusted: %w", err)
	}
	a.metrics.TrustApplied(err == nil && !a.lists.unsound)
	if err != nil {
		return err
	}
	a.metrics.TrustGeneration(state.Generation)
	a.signing, a.overlap = kids(state.SigningKeys), overlap(state.Applications)
	a.forget(state.Applications)
	return nil
}

// forget drops the metrics of applications that are in force no longer: the API
// may make and rename any number in the course of time.
func (a *App) forget(apps []enforcer.Application) {
	var names []string
	for _, app := range apps {
		names = append(names, app.Name)
	}
	for _, name := range a.guarded {
		if !slices.Contains(names, name) {
			a.metrics.Forget(name)
		}
	}
	a.guarded = names
}

func (a *App) buildAdmin(context.Context) error {
	service := inventory.New(a.store, a.o.Now)
	o := api.Options{
		Renewer: service, Revoker: service, Decider: service, Handler: a.handler(), Tokens: a.store, Now: a.o.Now, Logger: a.log,
		Ready: a.ready, Metrics: a.metrics.Handler(), V4: a.v4Options(), Version: Version(),
		Public: func() string { return a.roster().cfg.Admin.PublicURL },
	}
	if a.links != nil {
		o.Links, o.Linked = a.links, service
	}
	handler, err := api.New(o)
	if err != nil {
		return err
	}
	a.admin = newAdminServer(handler, a.cfg.Admin, a.log)
	return nil
}

// Start opens the listeners and sets every part going. The daemon runs until
// Stop, also beyond the context that New was given.
func (a *App) Start() error {
	if err := a.listen(); err != nil {
		return errors.Join(err, a.Stop())
	}
	if err := a.watchOwn(a.run, a.cfg); err != nil { // to guard matters more; the next start or reload tries again
		a.log.Error("watching the listeners' certificates", "error", err)
	}
	a.recallScan(a.run)
	a.recallChannels(a.run, a.roster().channels())
	a.warnRestored(a.run)
	a.heapFloor = make([]byte, heapFloor)
	a.goRun("notifier", a.notifier.Run)
	a.goRun("scanner", func(ctx context.Context) error { a.scanner.Run(ctx); return nil })
	a.goRun("watcher", a.watch)
	a.goRun("watcher of alerting", a.watchAlerting)
	a.goRun("retention", a.retain)
	a.goRun("watcher of files", a.watchFiles)
	a.goRun("key rotation", a.rotate)
	a.goRun("recording of sightings", a.sightings.run)
	a.goRun("refreshing of revocation lists", a.refresher.run)
	a.announce(a.run)
	notifySystemd(daemon.SdNotifyReady)
	return nil
}

func (a *App) listen() error {
	if err := a.serveOn("admin", "admin.listen", a.cfg.Admin.Listen, a.admin.serve); err != nil {
		return err
	}
	if !guards(a.cfg) {
		a.log.Info("guarding nothing", "server_certificates", len(a.cfg.Enforcer.Certificates), "enforcer_listen", a.cfg.Enforcer.Listen)
		return nil
	}
	return a.serveOn("enforcer", "enforcer.listen", a.cfg.Enforcer.Listen, a.enforcer.Serve)
}

// serveOn opens one listener and hands it to the one who serves it.
func (a *App) serveOn(name, key, address string, serve func(net.Listener) error) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fault.New(fault.Unprocessable, "listen", "%s: %w", key, err).WithField(key).
			WithHint("choose an address of this machine whose port is free")
	}
	a.goRun(name, func(context.Context) error { return serve(listener) })
	a.log.Info("listening", "listener", name, "address", listener.Addr().String())
	return nil
}

// goRun runs a part until the daemon stops. A part that ends before is a
// failure of the daemon.
func (a *App) goRun(name string, run func(context.Context) error) {
	a.wg.Go(func() {
		err := run(a.run)
		if a.run.Err() != nil {
			return
		}
		a.failed <- fmt.Errorf("the %s ended: %w", name, errors.Join(err, errors.New("it should run until the daemon stops")))
	})
}

// Failed tells of a part that ended by itself; the daemon should be stopped.
func (a *App) Failed() <-chan error { return a.failed }

// ready reports whether the store answers and the guard has a state.
func (a *App) ready(ctx context.Context) error {
	if a.run.Err() != nil {
		return errors.New("the daemon is stopping")
	}
	_, err := a.store.Generation(ctx)
	return err
}
