package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/certvigil/certvigil/internal/config"
	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/inventory"
)

// caLimits are the flags by which a CA is trusted for less than everything.
type caLimits struct {
	sans, names   []string
	lifetime      string
	unconstrained bool
}

func (l *caLimits) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&l.sans, "permit-san", nil, "`PATTERN` of the alternative names it may give: dns:, uri:, email: or ip:; repeatable")
	cmd.Flags().StringArrayVar(&l.names, "permit-cn", nil, "`PATTERN` of the common names it may give; repeatable")
	cmd.Flags().StringVar(&l.lifetime, "max-leaf-lifetime", "", "longest `SPAN` from a client's notBefore to its notAfter, e.g. 90d")
	cmd.Flags().BoolVar(&l.unconstrained, "unconstrained", false, "take all limits away")
}

// constraints returns nil when no flag is given.
func (l *caLimits) constraints() (*inventory.Constraints, error) {
	limited := len(l.sans) > 0 || len(l.names) > 0 || l.lifetime != ""
	switch {
	case limited && l.unconstrained:
		return nil, fault.New(fault.Usage, "unconstrained", "--unconstrained does not go with a limit").WithHint("give the limits alone: they take the place of all that are stored")
	case !limited && !l.unconstrained:
		return nil, nil
	}
	c := &inventory.Constraints{PermitSAN: l.sans, PermitCN: l.names}
	if l.lifetime == "" {
		return c, nil
	}
	span, err := config.ParseDuration(l.lifetime)
	if err == nil && span == 0 {
		err = errors.New("it is not above zero")
	}
	if err != nil {
		return nil, fault.New(fault.Usage, "max_leaf_lifetime", "--max-leaf-lifetime: %w", err).WithHint("write days or hours: 90d, 36h")
	}
	c.MaxLeafLifetime = span
	return c, nil
}
