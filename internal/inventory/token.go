package inventory

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/certvigil/certvigil/internal/fault"
)

// tokenPrefix lets secret scanners recognise a leaked token.
const tokenPrefix = "cvt_"

// NewToken makes a token with 256 random bits and returns it with its secret,
// which is shown once and kept by nobody. expiresAt may be nil. itemID binds a
// renew token to one item.
func NewToken(name string, scopes []string, itemID string, expiresAt *time.Time, now time.Time) (Token, string, error) {
	if strings.TrimSpace(name) == "" {
		return Token{}, "", fault.New(fault.Usage, "name", "the token has no name").WithField("name").WithHint("say what it is for: --name deploy-pipeline")
	}
	if err := checkScopes(scopes, itemID); err != nil {
		return Token{}, "", err
	}
	if expiresAt != nil && !expiresAt.After(now) {
		return Token{}, "", fault.New(fault.Usage, "expires", "the token would expire before it is made").WithField("expires").WithHint("give a span from now, e.g. --expires 90d")
	}
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return Token{}, "", err
	}
	secret := tokenPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	return Token{
		ID: uuid.NewString(), Name: name, Scopes: scopes, ItemID: itemID, Hash: HashToken(secret),
		CreatedAt: now.UTC(), ExpiresAt: expiresAt,
	}, secret, nil
}

// HashToken returns what is stored of a token's secret: its SHA-256. The
// secret has 256 random bits, so no slow hash is needed against guessing.
func HashToken(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// Allows reports whether the token bears a scope; write includes the others.
func (t Token) Allows(scope string) bool {
	return slices.Contains(t.Scopes, scope) || slices.Contains(t.Scopes, ScopeWrite)
}

// Expired reports whether the token has ended at now.
func (t Token) Expired(now time.Time) bool { return t.ExpiresAt != nil && !now.Before(*t.ExpiresAt) }

func checkScopes(scopes []string, itemID string) error {
	if len(scopes) == 0 {
		return fault.New(fault.Usage, "scope", "the token has no scope").WithField("scope").WithHint("give --scope read, write or renew")
	}
	for _, s := range scopes {
		if s != ScopeRead && s != ScopeWrite && s != ScopeRenew {
			return fault.New(fault.Usage, "scope", "scope %q is not one of read, write, renew", s).WithField("scope").WithHint("give --scope read, write or renew")
		}
	}
	if itemID != "" && !slices.Equal(scopes, []string{ScopeRenew}) {
		return fault.New(fault.Usage, "item", "only a renew token can be bound to an item").WithField("item").WithHint("use --scope renew --item ID")
	}
	return nil
}
