package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/certvigil/certvigil/internal/fault"
	"github.com/certvigil/certvigil/internal/hostname"
)

// A HostnameSetting is what the API says of a hostname. It counts only where
// the configuration says nothing.
type HostnameSetting struct {
	Hostname          string // normalised; exact or wildcard
	ForwardClientCert bool   // tell the origin the client's certificate, on every request
}

// SettingsVersion names the state of the list of settings.
func SettingsVersion(list []HostnameSetting) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%v", list)) // no hostname has a space or a brace
	return hex.EncodeToString(sum[:16])
}

// A SettingsCheck sees the settings as they stand when they are about to be
// replaced. Its error keeps that from happening. It must not use the store.
type SettingsCheck func([]HostnameSetting) error

// HostnameSettings returns the settings in the order in which they were given.
func (s *Service) HostnameSettings(ctx context.Context) ([]HostnameSetting, error) {
	return s.store.HostnameSettings(ctx)
}

// SetHostnameSettings replaces the whole list of settings and returns it as it
// is stored. The same again changes nothing.
func (s *Service) SetHostnameSettings(ctx context.Context, list []HostnameSetting, check SettingsCheck, actor Actor) ([]HostnameSetting, error) {
	out, seen := []HostnameSetting{}, map[string]bool{}
	for i, setting := range list {
		name, err := hostname.NormalizePattern(setting.Hostname)
		if err != nil {
			return nil, fmt.Errorf("setting %d: %w", i, err)
		}
		if seen[name] {
			return nil, fault.New(fault.Invalid, "duplicate", "the hostname %q is there twice", name).
				WithField(fmt.Sprintf("settings/%d/hostname", i)).WithHint("give each hostname one setting")
		}
		seen[name], setting.Hostname = true, name
		out = append(out, setting)
	}
	return out, s.store.SetHostnameSettings(ctx, out, check, actor)
}
