package app

import (
	"context"
	"net/http"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/inventory"
)

// clientRenewals records in the inventory what clients renew for themselves.
type clientRenewals struct{ service *inventory.Service }

// RenewClient implements enforcer.Renewer.
func (c clientRenewals) RenewClient(ctx context.Context, r enforcer.ClientRenewal) (status int, answer any, err error) {
	done, err := c.service.RenewPresented(ctx, inventory.Presentation{
		Presented: r.Presented, Next: r.Next, Hostname: r.Hostname, RequestID: r.RequestID,
	})
	if err != nil {
		return 0, nil, err
	}
	if done.Repeated {
		return http.StatusOK, done, nil
	}
	return http.StatusCreated, done, nil
}
