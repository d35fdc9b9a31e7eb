package app

import (
	"fmt"
	"slices"

	"github.com/certvigil/certvigil/enforcer"
	v4 "github.com/certvigil/certvigil/internal/api/v4"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/hostname"
	"github.com/certvigil/certvigil/internal/inventory"
)

// applySettings gives the applications what the API says of their hostnames,
// where the configuration leaves it out. The lists are of the same order.
func applySettings(apps []enforcer.Application, declared []config.Application, settings []inventory.HostnameSetting) {
	for i, a := range declared {
		if s, ok := settingOf(a.Hostname, settings); ok && !a.ForwardingGiven && s.ForwardClientCert {
			apps[i].Forwarding = enforcer.ForwardEvery
		}
	}
}

// settingOf returns the setting that counts for an application's hostname: its
// own, or else that of the wildcard that covers it.
func settingOf(name string, settings []inventory.HostnameSetting) (inventory.HostnameSetting, bool) {
	for _, candidate := range []string{name, hostname.Wildcard(name)} {
		i := slices.IndexFunc(settings, func(s inventory.HostnameSetting) bool { return s.Hostname == candidate })
		if i >= 0 {
			return settings[i], true
		}
	}
	return inventory.HostnameSetting{}, false
}

// settingRemarks tells which settings do not do what they say.
func settingRemarks(declared []config.Application, settings []inventory.HostnameSetting) []string {
	var remarks []string
	for _, s := range settings {
		covered := false
		for _, a := range declared {
			own, ok := settingOf(a.Hostname, settings)
			if !ok || own.Hostname != s.Hostname {
				continue
			}
			covered = true
			if !a.ForwardingGiven || (a.Forwarding == "every") == s.ForwardClientCert {
				continue
			}
			remarks = append(remarks, fmt.Sprintf("the setting of %s does not count for application %q: the configuration says client_certificate_forwarding = %q there; remove that line to let the API decide",
				s.Hostname, a.Name, a.Forwarding))
		}
		if s.ForwardClientCert && !covered {
			remarks = append(remarks, fmt.Sprintf("the setting of %s has no effect: no application has that hostname; one for a wildcard takes the wildcard's setting", s.Hostname))
		}
	}
	return remarks
}

// v4Options says what the reference-compatible API works on. Its settings are
// remarked on by the configuration that is in force.
func (a *App) v4Options() v4.Options {
	service := inventory.New(a.store, a.o.Now)
	return v4.Options{
		Reader: service, Editor: service, Settings: service, Alerting: a.alertingService(), AccountID: a.cfg.Admin.AccountID,
		Remarks: func(list []inventory.HostnameSetting) []string {
			a.mu.Lock()
			defer a.mu.Unlock()
			return settingRemarks(a.cfg.Applications, list)
		},
	}
}
