package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/certvigil/certvigil/enforcer"
	v4 "github.com/certvigil/certvigil/internal/api/v4"
	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/hostname"
	"github.com/certvigil/certvigil/internal/inventory"
)

// applySettings gives the applications what the API says of their hostnames,
// where the configuration leaves it out. The declared ones come first, in their
// order.
func applySettings(apps []enforcer.Application, declared []config.Application, settings []inventory.HostnameSetting) {
	for i := range apps {
		given := i < len(declared) && declared[i].ForwardingGiven
		if s, ok := settingOf(apps[i].Hostname, settings); ok && !given && s.ForwardClientCert {
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
func settingRemarks(apps []inventory.Application, settings []inventory.HostnameSetting) []string {
	var remarks []string
	for _, s := range settings {
		covered := false
		for _, a := range apps {
			if !takesSetting(a, s, settings) {
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

// takesSetting reports whether a setting is that of any place of an application.
func takesSetting(a inventory.Application, s inventory.HostnameSetting, settings []inventory.HostnameSetting) bool {
	return slices.ContainsFunc(a.Places, func(p inventory.Place) bool {
		own, ok := settingOf(p.Hostname, settings)
		return ok && own.Hostname == s.Hostname
	})
}

// v4Options says what the reference-compatible API works on. What it stores is
// remarked on by the configuration that is in force.
func (a *App) v4Options() v4.Options {
	service := inventory.New(a.store, a.o.Now)
	applications := inventory.NewApplications(a.store, declaration{a})
	return v4.Options{
		Reader: service, Editor: service, Settings: service, Alerting: a.alertingService(), Keys: keyRotation{a}, AccountID: a.cfg.Admin.AccountID,
		Applications: applications, ApplicationRemarks: a.remarkApplication,
		Remarks: func(ctx context.Context, list []inventory.HostnameSetting) []string {
			apps, err := applications.Applications(ctx)
			if err != nil {
				return nil // the list is stored; what is said of it is no matter
			}
			return settingRemarks(apps, list)
		},
	}
}
