package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/certvigil/certvigil/internal/fault"
)

// A signer makes Standard Webhooks headers.
type signer struct {
	keys [][]byte // the one in force first
}

// newSigner returns nil without a secret. It signs by every secret that is not
// empty: while one replaces another, receivers may know either.
func newSigner(secrets ...string) (*signer, error) {
	var s signer
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		key, err := signingKey(secret)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, key)
	}
	if s.keys == nil {
		return nil, nil
	}
	return &s, nil
}

// signingKey reads a secret. One that begins with whsec_ is base64 behind it, as
// Standard Webhooks has it; any other is taken as text.
func signingKey(secret string) ([]byte, error) {
	if strings.ContainsFunc(secret, unicode.IsControl) {
		return nil, fault.New(fault.Invalid, "secret", "the webhook's secret contains a control character").
			WithField("secret").WithHint("it is sent in a header; a line break in the middle cannot be")
	}
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return []byte(secret), nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fault.New(fault.Invalid, "secret", "the webhook's secret begins with whsec_ and is not base64 behind it").
			WithField("secret")
	}
	return key, nil
}

// header sets webhook-timestamp and webhook-signature.
func (s *signer) header(h http.Header, id string, now time.Time, body []byte) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	var signatures []string
	for _, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	h.Set("webhook-timestamp", timestamp)
	h.Set("webhook-signature", strings.Join(signatures, " "))
}
