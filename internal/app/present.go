package app

import (
	"context"
	"fmt"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/inventory"
)

// watchOwn has the certificates of our own listeners watched like any other.
func (a *App) watchOwn(ctx context.Context, cfg *config.Config) error {
	actor := inventory.Actor{Kind: inventory.ActorSystem, ID: "config"}
	if err := inventory.New(a.store, a.o.Now).Present(ctx, presented(cfg), actor); err != nil {
		return fmt.Errorf("watching the listeners' certificates: %w", err)
	}
	return nil
}

func presented(cfg *config.Config) []inventory.Presented {
	var all []inventory.Presented
	for _, c := range cfg.Enforcer.Certificates {
		all = append(all, inventory.Presented{Path: c.Cert, Certificate: c.Pair.Leaf})
	}
	if cfg.Admin.TLS != nil {
		all = append(all, inventory.Presented{Path: cfg.Admin.TLSCert, Certificate: cfg.Admin.TLS.Leaf})
	}
	return all
}
