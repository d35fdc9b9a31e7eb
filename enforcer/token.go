package enforcer

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// assertionLife is how long the token in the origin's header holds.
const assertionLife = 10 * time.Minute

const minRSASigning = 2048

// claims are those of the reference product for a client without an identity
// provider, plus the binding to the certificate (RFC 8705 §3.1).
type claims struct {
	Type       string       `json:"type"`
	Audience   []string     `json:"aud"`
	Expires    int64        `json:"exp"`
	Issuer     string       `json:"iss"`
	CommonName string       `json:"common_name"`
	IssuedAt   int64        `json:"iat"`
	Subject    string       `json:"sub"`
	Confirm    confirmation `json:"cnf"`
}

type confirmation struct {
	Thumbprint string `json:"x5t#S256"`
}

// A signer signs tokens with the current key.
type signer struct{ jose jose.Signer }

// newSigner checks all keys and signs with the first.
func newSigner(keys []SigningKey) (*signer, error) {
	if len(keys) == 0 {
		return nil, refuse("signing_key", "there is no key to sign tokens with")
	}
	seen := map[string]bool{}
	for _, k := range keys {
		switch {
		case !isHex(k.KID) || seen[k.KID]:
			return nil, refuse("signing_key", "signing key %q: its id is not 64 lower-case hex digits, or is there twice", k.KID)
		case k.Key == nil || k.Key.N.BitLen() < minRSASigning:
			return nil, refuse("signing_key", "signing key %q is missing or has less than %d bits", k.KID, minRSASigning)
		}
		seen[k.KID] = true
	}
	key := jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: keys[0].Key, KeyID: keys[0].KID}}
	s, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, refuse("signing_key", "signing key %q: %w", keys[0].KID, err)
	}
	return &signer{s}, nil
}

func (s *signer) sign(c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	signed, err := s.jose.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing claims: %w", err)
	}
	return signed.CompactSerialize()
}

// A token is a signed JWT and when to replace it.
type token struct {
	value   string
	renewAt time.Time
	cookie  string // the Set-Cookie line that hands it to the client
}

// pair returns the token as a cookie that a client would send.
func (t *token) pair() string { return t.cookie[:len(cookieName)+len("=")+len(t.value)] }

// tokenKey names a client at an application; the key that signs and the
// generation are the snapshot's.
type tokenKey struct {
	leaf    [sha256.Size]byte
	app     *application
	session time.Duration
}

// tokens are the remembered ones of a client at an application. A signature
// costs as much as hundreds of requests, so each is reused to half its life.
type tokens struct {
	mu                 sync.Mutex
	assertion, session token
}

// tokensFor returns the header token and the cookie token of a verified client
// about whom was decided.
func (s *snapshot) tokensFor(c *client, d *decision, now time.Time) (assertion, session token, err error) {
	key := tokenKey{c.leafID, d.app, cmp.Or(d.session, d.app.session)}
	t, ok := s.tokens.get(key)
	if !ok {
		t = s.tokens.getOrPut(key, new(tokens))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !now.Before(t.assertion.renewAt) {
		if t.assertion, err = s.issue(c, d, now, assertionLife); err != nil {
			return token{}, token{}, err
		}
	}
	if !now.Before(t.session.renewAt) {
		if t.session, err = s.issue(c, d, now, key.session); err != nil {
			return token{}, token{}, err
		}
	}
	return t.assertion, t.session, nil
}

// issue signs a token that ends after life, or with the leaf if that is sooner.
func (s *snapshot) issue(c *client, d *decision, now time.Time, life time.Duration) (token, error) {
	app, v := d.app, d.verdict
	ends := now.Add(life).Truncate(time.Second)
	if v.notAfter.Before(ends) {
		ends = v.notAfter.Truncate(time.Second)
	}
	value, err := s.signer.sign(claims{
		Type:       "app",
		Audience:   []string{app.aud},
		Expires:    ends.Unix(),
		Issuer:     s.issuer,
		CommonName: v.commonName,
		IssuedAt:   now.Unix(),
		Confirm:    confirmation{base64.RawURLEncoding.EncodeToString(c.leafID[:])},
	})
	if err != nil {
		return token{}, err
	}
	return token{
		value: value,
		// At least a second, or the last moments of a leaf would sign without pause.
		renewAt: now.Add(max(ends.Sub(now)/2, time.Second)),
		cookie:  setCookie(app.cookie, value, ends),
	}, nil
}

// at returns the cookie of an application at a path. By default it has the
// reference product's attributes. SameSite=None is safe here: the cookie admits
// nobody without the certificate itself.
func (c Cookie) at(path string) http.Cookie {
	cookie := http.Cookie{ //nolint:gosec // SameSite=None, see above
		Name: cookieName, Path: "/", HttpOnly: !c.Readable, Secure: true, SameSite: cmp.Or(c.SameSite, http.SameSiteNoneMode),
	}
	if c.ScopePath {
		cookie.Path = path
	}
	return cookie
}

// setCookie returns the line that sets an application's cookie.
func setCookie(cookie http.Cookie, value string, ends time.Time) string { //nolint:gosec // of Cookie.at
	cookie.Value, cookie.Expires = value, ends.UTC()
	return cookie.String()
}
