package app

import (
	"context"
	"errors"
	"strconv"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
)

// Reload reads the configuration again and applies it whole, or keeps the old
// one and says why, in the log and to the caller.
func (a *App) Reload(ctx context.Context) error {
	notifySystemd(daemon.SdNotifyReloading)
	defer notifySystemd(daemon.SdNotifyReady)
	a.reloading.Lock()
	defer a.reloading.Unlock()
	err := a.reload(ctx)
	a.metrics.Reloaded(err == nil)
	if err != nil {
		a.log.Error("reloading the configuration; the old one stays in force", "file", a.o.ConfigPath, "error", err, "hint", fault.Hint(err))
		return err
	}
	a.log.Info("reloaded the configuration", "file", a.o.ConfigPath, "applications", len(a.cfg.Applications), "channels", len(a.cfg.Channels), "rules", len(a.cfg.Alerts))
	a.warn(a.run, a.roster(), a.groups(a.run))
	return nil
}

func (a *App) reload(ctx context.Context) error {
	next, stamps, err := a.load()
	if err != nil {
		return err
	}
	if err := a.checkFixed(next); err != nil {
		return err
	}
	return a.takeOver(ctx, next, stamps)
}

// takeOver checks everything that can be refused before it changes anything,
// and takes back what it changed when a later part does not follow.
func (a *App) takeOver(ctx context.Context, next *config.Config, stamps fileStamps) error {
	r, err := openRosterOf(ctx, next, a.store)
	if err != nil {
		return err
	}
	s, err := r.setup(a.o.Now, a.store)
	if err != nil {
		return err
	}
	old := a.cfg
	if err := a.reopenAccessLog(next); err != nil {
		return err
	}
	if err := a.enforce(ctx, next); err != nil {
		return errors.Join(err, a.reopenAccessLog(old))
	}
	if err := a.scanner.Reconfigure(ctx, r.rules(), next.Scanner.Schedule, next.Scanner.Location()); err != nil {
		return a.takeBack(ctx, old, err)
	}
	if err := a.notifier.Reconfigure(s); err != nil {
		return a.takeBack(ctx, old, err)
	}
	before := roster{old, a.stored}
	a.mu.Lock()
	a.stored = r.stored
	a.mu.Unlock()
	a.changeChannels(ctx, before, r)
	a.admin.reconfigure(next.Admin)
	a.stamps = stamps
	if err := a.watchOwn(ctx, next); err != nil { // presented they are already; the next reload tries again
		a.log.Error("watching the listeners' certificates", "error", err)
	}
	return nil
}

// enforce puts the applications of a configuration in force, and the
// configuration itself for whoever applies trust next: what is revoked while a
// large store is being scheduled anew counts within a second all the same.
func (a *App) enforce(ctx context.Context, cfg *config.Config) error {
	a.declaring.Lock()
	defer a.declaring.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.applyTrust(ctx, cfg); err != nil {
		return err
	}
	a.cfg = cfg
	return nil
}

// takeBack puts the old configuration in force again after a part refused the
// new one.
func (a *App) takeBack(ctx context.Context, old *config.Config, cause error) error {
	if err := a.enforce(ctx, old); err != nil {
		a.log.Error("putting the old applications in force again; trying again", "error", err)
		a.declaring.Lock()
		a.mu.Lock()
		a.cfg, a.overdue = old, true
		a.mu.Unlock()
		a.declaring.Unlock()
	}
	if err := a.scanner.Reconfigure(ctx, roster{old, a.stored}.rules(), old.Scanner.Schedule, old.Scanner.Location()); err != nil {
		a.log.Error("putting the old rules in force again", "error", err)
	}
	if err := a.reopenAccessLog(old); err != nil {
		a.log.Error("going on in the old access log", "error", err)
	}
	return cause
}

// A setting is a key with its value as it would be written.
type setting struct{ key, value string }

// fixed returns what only a restart can change, in one order.
func fixed(cfg *config.Config) []setting {
	l := cfg.Enforcer.Limits
	return []setting{
		{"storage.dsn", strconv.Quote(cfg.Storage.DSN)},
		{"storage.key_file", strconv.Quote(cfg.Storage.KeyFile)},
		{"admin.listen", strconv.Quote(cfg.Admin.Listen)},
		{"admin.account_id", strconv.Quote(cfg.Admin.AccountID)},
		{"enforcer.listen", strconv.Quote(cfg.Enforcer.Listen)},
		{"enforcer.http1_fast_path", strconv.FormatBool(cfg.Enforcer.HTTP1FastPath)},
		{"enforcer.limits.handshake_timeout", strconv.Quote(l.HandshakeTimeout.String())},
		{"enforcer.limits.header_timeout", strconv.Quote(l.HeaderTimeout.String())},
		{"enforcer.limits.body_timeout", strconv.Quote(l.BodyTimeout.String())},
		{"enforcer.limits.idle_timeout", strconv.Quote(l.IdleTimeout.String())},
		{"enforcer.limits.connection_lifetime", strconv.Quote(l.ConnectionLifetime.String())},
		{"enforcer.limits.header_bytes", strconv.Itoa(l.HeaderBytes)},
		{"enforcer.limits.chain_bytes", strconv.Itoa(l.ChainBytes)},
		{"enforcer.limits.handshakes", strconv.Itoa(l.Handshakes)},
	}
}

// checkFixed refuses what only a restart can change.
func (a *App) checkFixed(next *config.Config) error {
	was := fixed(a.cfg)
	for i, s := range fixed(next) {
		if s != was[i] {
			return needsRestart(s.key, was[i].value+" to "+s.value)
		}
	}
	if (a.cfg.Enforcer.AccessLog == "") != (next.Enforcer.AccessLog == "") {
		return needsRestart("enforcer.access_log", "a log to none or back")
	}
	if (a.cfg.Admin.TLS == nil) != (next.Admin.TLS == nil) {
		return needsRestart("admin.tls_cert", "plain HTTP to TLS or back")
	}
	if guards(a.cfg) != guards(next) {
		return needsRestart("enforcer.certificate", "some to none or back")
	}
	return nil
}

func needsRestart(key, change string) error {
	return fault.New(fault.Conflict, "restart", "%s changed from %s, which takes a restart", key, change).
		WithField(key).WithHint("restart the daemon to apply this configuration, or take that change back")
}
