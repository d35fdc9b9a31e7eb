package app

import (
	"github.com/certvigil/certvigil/internal/accesslog"
	"github.com/certvigil/certvigil/internal/config"
)

// openAccessLog opens the access log, where one is configured and there is
// something to log.
func (a *App) openAccessLog() (err error) {
	if c := a.cfg.Enforcer; c.AccessLog == "" || !guards(a.cfg) {
		return nil
	}
	a.accessLog, err = accesslog.Open(accesslog.Options{
		Path: a.cfg.Enforcer.AccessLog, Sample: a.cfg.Enforcer.AccessLogSample, Logger: a.log,
		Dropped: a.metrics.AccessLogDropped, Failing: a.metrics.AccessLogFailing,
	})
	if err != nil {
		return err
	}
	a.onClose("access log", a.accessLog.Close)
	return nil
}

// reopenAccessLog goes on in the file that the configuration names. It was
// moved away, perhaps, by whoever asks for a reload.
func (a *App) reopenAccessLog(cfg *config.Config) error {
	if a.accessLog == nil {
		return nil
	}
	return a.accessLog.Reopen(cfg.Enforcer.AccessLog, cfg.Enforcer.AccessLogSample)
}
