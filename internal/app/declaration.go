package app

import (
	"net/url"
	"strings"

	"github.com/certvigil/certvigil/internal/egress"
	"github.com/certvigil/certvigil/internal/inventory"
)

// A declaration is what the daemon's configuration says to those who change
// applications by the API.
type declaration struct{ a *App }

// Applications implements inventory.Declaration.
func (d declaration) Applications() []inventory.Application {
	return declaredApplications(d.a.roster().cfg.Applications)
}

// Hold implements inventory.Declaration: while it holds, no reload takes over,
// so that the two cannot pass each other unseen. What is revoked meanwhile is
// applied: a store that another process keeps busy holds up the change alone.
func (d declaration) Hold(use func([]inventory.Application) error) error {
	d.a.declaring.Lock()
	defer d.a.declaring.Unlock()
	return use(d.Applications())
}

// Check implements inventory.Declaration: what it lets pass, the enforcer takes.
func (d declaration) Check(stored []inventory.Application) error {
	cfg := d.a.cfg
	apps, err := storedApplications(cfg, stored)
	if err != nil {
		return err
	}
	state := declared(cfg)
	for i := range state.Applications {
		state.Applications[i].AUD = strings.Repeat("0", 64) // it is of no account here
	}
	state.Applications = append(state.Applications, apps...)
	return d.a.enforcer.Check(state)
}

// CheckOrigin implements inventory.Declaration. A name is judged again by the
// address that it has when it is dialled.
func (d declaration) CheckOrigin(origin *url.URL) error {
	return egress.Policy{AllowPrivate: d.a.cfg.Enforcer.AllowPrivateOrigins}.CheckURL(origin)
}
