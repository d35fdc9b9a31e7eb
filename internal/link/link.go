// Package link signs and reads the links that messages carry: each lets its
// holder do one thing to one item until a moment, without a token. A link
// holds no state, so any replica with the same key reads those of the others.
package link

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/fault"
)

// KeySize is the size of a key in bytes.
const KeySize = 32

// A Purpose is what a link is for. The numbers are part of every link: they
// never change.
type Purpose byte

// The purposes: to hand in a renewed certificate, and to acknowledge or snooze.
const (
	Renew  Purpose = 1
	Handle Purpose = 2
)

// The parts of a token: version, purpose, item, the last second, HMAC.
const (
	version  = 1
	bodySize = 1 + 1 + 16 + 8
	size     = bodySize + sha256.Size
)

// encoding has one spelling for each token of the right length.
var encoding = base64.RawURLEncoding.Strict()

// A Signer makes and reads tokens. It may be used concurrently.
type Signer struct {
	key []byte
	now func() time.Time
}

// New returns a signer with a secret key of KeySize bytes.
func New(key []byte, now func() time.Time) (*Signer, error) {
	if len(key) != KeySize {
		return nil, errors.New("link: the key has the wrong size")
	}
	return &Signer{key: key, now: now}, nil
}

// Sign returns the token for one purpose and one item, good until the second
// of expires is over. It is the same each time. Without a UUID there is none.
func (s *Signer) Sign(p Purpose, itemID string, expires time.Time) string {
	id, err := uuid.Parse(itemID)
	if err != nil || expires.Unix() < 0 {
		return ""
	}
	body := make([]byte, 0, size)
	body = append(body, version, byte(p))
	body = append(body, id[:]...)
	body = binary.BigEndian.AppendUint64(body, uint64(expires.Unix())) //nolint:gosec // not negative, see above
	return encoding.EncodeToString(s.sum(body))
}

// sum appends the HMAC.
func (s *Signer) sum(body []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(body)
	return mac.Sum(body)
}

// Open returns the item of a token that was signed for this purpose. It
// returns fault.NotFound for what was not, and fault.Conflict of rule
// "link_ended" for one whose time is over. The token is in neither error.
func (s *Signer) Open(p Purpose, token string) (itemID string, err error) {
	if len(token) != encoding.EncodedLen(size) {
		return "", invalid()
	}
	raw, err := encoding.DecodeString(token)
	if err != nil || len(raw) != size { // shorter with line breaks, which are passed over
		return "", invalid()
	}
	// The signature comes first: nothing is read of what we did not write.
	if !hmac.Equal(s.sum(raw[:bodySize:bodySize]), raw) || raw[0] != version || raw[1] != byte(p) {
		return "", invalid()
	}
	last := int64(binary.BigEndian.Uint64(raw[18:bodySize])) //nolint:gosec // signed by us, never negative
	if s.now().Unix() > last {
		return "", fault.New(fault.Conflict, "link_ended", "this link ended at %s, with its certificate", time.Unix(last, 0).UTC().Format(time.RFC3339)).
			WithHint("an administrator can still hand the renewed certificate in: certvigil cert renew ITEM FILE")
	}
	return uuid.UUID(raw[2:18]).String(), nil
}

func invalid() error {
	return fault.New(fault.NotFound, "link", "this link is not valid").
		WithHint("copy it whole from the message; a link from before the key file was replaced is good no longer")
}
