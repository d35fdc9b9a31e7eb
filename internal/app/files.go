package app

import (
	"context"
	"time"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
)

const (
	filesEvery = time.Second // two looks that see the same make a change
	filesRetry = time.Minute // between attempts to read the same files
)

// load reads the configuration. Its files are read once more after they were
// looked at, so that no change falls between the two.
func (a *App) load() (*config.Config, fileStamps, error) {
	named, err := config.Load(a.o.ConfigPath, a.o.Getenv)
	if err != nil {
		return nil, nil, err
	}
	return a.reread(named)
}

func (a *App) reread(named *config.Config) (*config.Config, fileStamps, error) {
	stamps := stampsOf(filesOf(named))
	cfg, err := named.Reread(a.o.Getenv)
	return cfg, stamps, err
}

// filesOf returns the certificates, keys, pages and templates that a configuration names.
// Secrets are not among them: they are changed together with the other side,
// and read by a reload.
func filesOf(cfg *config.Config) []string {
	var paths []string
	add := func(names ...string) {
		for _, n := range names {
			if n != "" {
				paths = append(paths, n)
			}
		}
	}
	add(cfg.Admin.TLSCert, cfg.Admin.TLSKey, cfg.Admin.ClientCA)
	for _, c := range cfg.Enforcer.Certificates {
		add(c.Cert, c.Key)
	}
	for _, app := range cfg.Applications {
		add(app.OriginCA, app.OriginCert, app.OriginKey, app.DenyPage)
	}
	for _, c := range cfg.Channels {
		add(c.TemplateFile)
	}
	return paths
}

// A fileWatcher remembers what it saw of the files.
type fileWatcher struct {
	seen, tried fileStamps
	triedAt     time.Time
	warned      string
}

// watchFiles puts certificates, keys and pages in force when their files
// change, within seconds.
func (a *App) watchFiles(ctx context.Context) error {
	tick := time.NewTicker(filesEvery)
	defer tick.Stop()
	var w fileWatcher
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			a.lookAtFiles(ctx, &w)
		}
	}
}

// lookAtFiles reads files that have changed and are not being written to. The
// configuration's own file does not count: what somebody writes there waits for
// a reload, and must not keep a certificate from being renewed.
//
// Files that are no use, such as a certificate whose key is still to come, leave
// those before in force.
func (a *App) lookAtFiles(ctx context.Context, w *fileWatcher) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	now := stampsOf(filesOf(a.cfg))
	settled := now.same(w.seen)
	w.seen = now
	switch {
	case now.same(a.stamps):
		*w = fileWatcher{seen: now}
		return
	case !settled || now.same(w.tried) && a.o.Now().Sub(w.triedAt).Abs() < filesRetry:
		return
	}
	w.tried, w.triedAt = now, a.o.Now()
	next, stamps, err := a.reread(a.cfg)
	if err == nil {
		err = a.takeOver(ctx, next, stamps)
	}
	a.metrics.FilesReloaded(err == nil)
	switch {
	case err == nil:
		w.warned = ""
		a.log.Info("took over files that changed", "files", len(stamps))
	case ctx.Err() == nil && err.Error() != w.warned:
		w.warned = err.Error()
		a.log.Warn("files that changed are of no use yet; those before stay in force", "error", err, "hint", fault.Hint(err))
	}
}
