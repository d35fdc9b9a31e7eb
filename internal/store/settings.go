package store

import (
	"context"
	"slices"

	"github.com/certvigil/certvigil/internal/inventory"
)

// HostnameSettings returns the settings of hostnames in their stored order.
func (s *Store) HostnameSettings(ctx context.Context) (list []inventory.HostnameSetting, err error) {
	err = s.read(ctx, "reading the hostname settings", func(t *tx) (err error) {
		list, err = t.hostnameSettings(ctx)
		return err
	})
	return list, err
}

func (t *tx) hostnameSettings(ctx context.Context) ([]inventory.HostnameSetting, error) {
	return collect(ctx, t, func(row scanner) (h inventory.HostnameSetting, err error) {
		err = row.Scan(&h.Hostname, &h.ForwardClientCert)
		return h, err
	}, `SELECT hostname, forward_client_cert FROM hostname_settings ORDER BY position`)
}

// SetHostnameSettings replaces all settings, once the present ones pass the
// check, which may be nil. The same again changes nothing.
func (s *Store) SetHostnameSettings(ctx context.Context, list []inventory.HostnameSetting, check inventory.SettingsCheck, actor inventory.Actor) error {
	return s.write(ctx, "storing the hostname settings", func(t *tx) error {
		before, err := t.hostnameSettings(ctx)
		if err != nil {
			return err
		}
		if check != nil {
			if err := check(before); err != nil {
				return err
			}
		}
		if slices.Equal(before, list) {
			return nil
		}
		if _, err := t.exec(ctx, `DELETE FROM hostname_settings`); err != nil {
			return err
		}
		for i, h := range list {
			if _, err := t.exec(ctx, `INSERT INTO hostname_settings (hostname, position, forward_client_cert) VALUES (?, ?, ?)`,
				h.Hostname, i, h.ForwardClientCert); err != nil {
				return err
			}
		}
		if err := t.audit(ctx, s.now(), actor, change{
			action: "settings.update", object: "settings:hostnames", before: describeSettings(before), after: describeSettings(list),
		}); err != nil {
			return err
		}
		return t.bumpGeneration(ctx)
	})
}

func describeSettings(list []inventory.HostnameSetting) map[string]any {
	out := map[string]any{}
	for _, h := range list {
		out[h.Hostname] = map[string]any{"client_certificate_forwarding": h.ForwardClientCert}
	}
	return map[string]any{"settings": out}
}
