package notifier

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"time"
)

// A verdict is an error of Send with what it asks for.
type verdict struct {
	error
	permanent, failing, limited bool
	after                       time.Duration // for limited; 0 = not said
	uncertain                   bool          // the message, or part of it, may have arrived
}

// Unwrap returns the error that was marked.
func (v *verdict) Unwrap() error { return v.error }

// Permanent marks an error that no retry of this message can mend.
func Permanent(err error) error { return &verdict{error: err, permanent: true} }

// ChannelFailing marks an error that concerns the channel, not the message:
// its deliveries wait until it is mended.
func ChannelFailing(err error) error { return &verdict{error: err, failing: true} }

// RetryAfter marks a limit of the counterpart, which may have said how long to
// wait (0 = it did not). A limit postpones a delivery and is not counted as an
// attempt.
func RetryAfter(err error, after time.Duration) error {
	return &verdict{error: err, limited: true, after: after, uncertain: IsUncertain(err)}
}

// MayHaveArrived marks an error after which the counterpart may have the message
// all the same, or part of it. What else the error asks for stays.
func MayHaveArrived(err error) error {
	v := verdictOf(err)
	v.error, v.uncertain = err, true
	return &v
}

// IsUncertain reports whether err was marked by [MayHaveArrived].
func IsUncertain(err error) bool { return verdictOf(err).uncertain }

// IsPermanent reports whether err was marked by [Permanent].
func IsPermanent(err error) bool { return verdictOf(err).permanent }

// IsChannelFailing reports whether err was marked by [ChannelFailing].
func IsChannelFailing(err error) bool { return verdictOf(err).failing }

// IsRetryAfter reports whether err was marked by [RetryAfter], and its wait.
func IsRetryAfter(err error) (after time.Duration, ok bool) {
	v := verdictOf(err)
	return v.after, v.limited
}

func verdictOf(err error) verdict {
	var v *verdict
	if errors.As(err, &v) {
		return *v
	}
	return verdict{error: err}
}

// Redact returns err without the given secrets in its text. What it asks for
// stays, its other causes are cut off: their texts might hold the secret.
func Redact(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	text := redacted(err.Error(), secrets)
	if text == err.Error() {
		return err
	}
	v := verdictOf(err)
	v.error = errors.New(text)
	return &v
}

func redacted(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, Redacted)
		}
	}
	return text
}

// URLSecrets lists the parts of a destination's URL that an answer might echo
// and an error must not tell, for [Redact]: the whole, its path with query, its
// password, as it is and as it is sent, and every long part of them.
func URLSecrets(u *url.URL) []string {
	const long = 8
	secrets := []string{u.String()}
	if u.RequestURI() != "/" {
		secrets = append(secrets, u.RequestURI())
	}
	if password, ok := u.User.Password(); ok {
		secrets = append(secrets, base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)), password)
	}
	for _, part := range strings.FieldsFunc(u.RequestURI(), func(r rune) bool { return strings.ContainsRune("/?&=", r) }) {
		if len(part) >= long {
			secrets = append(secrets, part)
		}
	}
	return secrets
}
