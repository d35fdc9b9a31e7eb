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
	secret string // as configured
	key    []byte
}

// newSigner returns nil for an empty secret. A secret that begins with whsec_
// is base64 behind it, as Standard Webhooks has it; any other is taken as text.
func newSigner(secret string) (*signer, error) {
	if secret == "" {
		return nil, nil
	}
	if strings.ContainsFunc(secret, unicode.IsControl) {
		return nil, fault.New(fault.Invalid, "secret", "the webhook's secret contains a control character").
			WithField("secret").WithHint("it is sent in a header; a line break in the middle cannot be")
	}
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return &signer{secret: secret, key: []byte(secret)}, nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fault.New(fault.Invalid, "secret", "the webhook's secret begins with whsec_ and is not base64 behind it").
			WithField("secret")
	}
	return &signer{secret: secret, key: key}, nil
}

// header sets webhook-id, webhook-timestamp and webhook-signature.
func (s *signer) header(h http.Header, id string, now time.Time, body []byte) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", timestamp)
	h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
