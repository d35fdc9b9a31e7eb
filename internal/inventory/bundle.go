package inventory

import (
	"time"

	"github.com/certvigil/certvigil/internal/alert"
)

// ExpiresOn is the earliest end of what the bundle holds and an explicit
// renewal has not superseded; zero when it holds nothing.
func (b Bundle) ExpiresOn() time.Time {
	var earliest time.Time
	for _, m := range b.Members {
		if m.Item.Watch == alert.Superseded {
			continue
		}
		if earliest.IsZero() || m.Item.NotAfter.Before(earliest) {
			earliest = m.Item.NotAfter
		}
	}
	return earliest
}

// Fingerprint is that of the first certificate, "" when there is none.
func (b Bundle) Fingerprint() string {
	if len(b.Members) == 0 {
		return ""
	}
	return b.Members[0].Item.Fingerprint
}
