// Package config reads the TOML configuration: strict decoding, defaults,
// environment and secret files, and one check for each rule.
//
// It owns what a key means and refuses everything it does not know: a file
// with an unknown key, a wrong type or a broken relation yields no
// configuration at all, and an error that names every problem with its line,
// its key and the remedy. Loading reads every file that the configuration
// names before it returns, so that a caller applies it whole or not at all.
package config

import (
	"crypto/tls"
	"crypto/x509"
	"html/template"
	"net/netip"
	"time"

	"github.com/certvigil/certvigil/internal/access"
	"github.com/certvigil/certvigil/templates"
)

// A Config is a checked configuration: its relations hold, its secrets and
// certificates are read, its paths are absolute and its host names are
// normalised. It is not changed after [Load] returned it.
type Config struct {
	Storage      Storage       `toml:"storage"`
	Admin        Admin         `toml:"admin"`
	Scanner      Scanner       `toml:"scanner"`
	Notifier     Notifier      `toml:"notifier"`
	Enforcer     Enforcer      `toml:"enforcer"`
	Applications []Application `toml:"application"`
	Channels     []Channel     `toml:"channel"`
	Alerts       []Alert       `toml:"alert"` // never empty: without any, the documented default

	File     string   `toml:"-"` // where it was read from, as it was named
	Warnings []string `toml:"-"` // what is allowed but probably not meant; no secrets

	Document Secret `toml:"-"` // the text of File, for Reread
}

// Storage says where the state is kept.
type Storage struct {
	DSN       string   `toml:"dsn"`       // absolute path of the SQLite database
	KeyFile   string   `toml:"key_file"`  // absolute path; not opened here
	Retention Duration `toml:"retention"` // > 0
}

// Admin is the listener of renewals, metrics and health.
type Admin struct {
	Listen    string `toml:"listen"`     // host:port
	PublicURL string `toml:"public_url"` // absolute, no trailing slash
	TLSCert   string `toml:"tls_cert"`   // absolute path, or ""
	TLSKey    string `toml:"tls_key"`
	ClientCA  string `toml:"client_ca"`  // absolute path of PEM; "" = no client certificate is asked for
	AccountID string `toml:"account_id"` // "" = any
	Insecure  bool   `toml:"insecure"`

	TLS       *tls.Certificate `toml:"-"` // what the two files held, nil without them
	ClientCAs *x509.CertPool   `toml:"-"` // what client_ca held, nil without it
}

// Scanner says when the inventory is looked through.
type Scanner struct {
	Schedule     string `toml:"schedule"` // accepted by [ParseSchedule]
	Timezone     string `toml:"timezone"`
	HeartbeatURL Secret `toml:"heartbeat_url"` // whoever has it can feign a heartbeat
}

// Location returns the time zone of the schedule.
func (s Scanner) Location() *time.Location {
	loc, err := time.LoadLocation(s.Timezone)
	if err != nil {
		return time.UTC
	}
	return loc
}

// Notifier is what all channels share.
type Notifier struct {
	Fallback            []string `toml:"fallback"` // names of channels
	AllowPrivateTargets bool     `toml:"allow_private_targets"`
}

// Enforcer is the guarding listener.
type Enforcer struct {
	Listen          string        `toml:"listen"` // host:port; "" = no listener
	Issuer          string        `toml:"issuer"` // https, no trailing slash
	DefaultHostname string        `toml:"default_hostname"`
	RequireEKU      bool          `toml:"require_eku"`
	TrustedProxies  []string      `toml:"trusted_proxies"`
	SessionTickets  bool          `toml:"session_tickets"`
	HTTP1FastPath   bool          `toml:"http1_fast_path"`   // false: net/http serves all of HTTP/1.1
	CRLStale        string        `toml:"crl_stale"`         // CRLDeny or CRLKeep
	CRLGrace        Duration      `toml:"crl_grace"`         // 0: one more validity period of each list, at most 7 days
	KeyRotation     Duration      `toml:"key_rotation"`      // at least a day
	AccessLog       string        `toml:"access_log"`        // "": none, "-": standard output, else an absolute path
	AccessLogSample float64       `toml:"access_log_sample"` // 0 to 1: the share of admitted requests
	Limits          Limits        `toml:"limits"`
	Certificates    []Certificate `toml:"certificate"`

	DefaultOrigin       string `toml:"default_origin"`        // of applications that the API makes without one; "" = none
	AllowPrivateOrigins bool   `toml:"allow_private_origins"` // for those that the API makes
	KeyRotationGiven    bool   `toml:"-"`                     // key_rotation is in the file: what the API says of it does not count
}

// What a revocation list past its grace does.
const (
	CRLDeny = "deny" // it denies everyone of its issuer
	CRLKeep = "keep" // it denies whom it names, no more
)

// Limits bound what a client may ask of the guarding listener. All are above
// zero.
type Limits struct {
	HandshakeTimeout   Duration `toml:"handshake_timeout"`
	HeaderTimeout      Duration `toml:"header_timeout"`      // to send a request head
	BodyTimeout        Duration `toml:"body_timeout"`        // without a byte of a body, or of an answer taken
	IdleTimeout        Duration `toml:"idle_timeout"`        // between requests
	ConnectionLifetime Duration `toml:"connection_lifetime"` // after which a connection is asked to end
	HeaderBytes        int      `toml:"header_bytes"`        // of a request head
	ChainBytes         int      `toml:"chain_bytes"`         // of a client's certificates
	Handshakes         int      `toml:"handshakes"`          // at once; the rest waits
}

// Proxies returns the trusted proxies as prefixes.
func (e Enforcer) Proxies() []netip.Prefix { return access.Prefixes(e.TrustedProxies) }

// A Certificate is a server certificate of the guarding listener.
type Certificate struct {
	Cert string `toml:"cert"` // absolute path
	Key  string `toml:"key"`

	Pair tls.Certificate `toml:"-"` // what the files held; Leaf is set
}

// An Application is a guarded origin.
type Application struct {
	Name            string   `toml:"name"`
	Hostname        string   `toml:"hostname"`         // normalised; exact or "*.example.com"
	Path            string   `toml:"path"`             // "/" or "/prefix"
	SessionDuration Duration `toml:"session_duration"` // > 0
	Mode            string   `toml:"mode"`             // ModeEnforce or ModeReportOnly
	Forwarding      string   `toml:"client_certificate_forwarding"`
	Policies        []Policy `toml:"policy"`

	RFC9440                bool              `toml:"rfc9440"`
	TLSClientAuthHeaders   bool              `toml:"tls_client_auth_headers"`
	RequestHeaders         map[string]string `toml:"request_headers"` // by name, accepted by package header
	OptionsPreflightBypass bool              `toml:"options_preflight_bypass"`

	Origin           string   `toml:"origin"`      // accepted by OriginURL
	OriginCA         string   `toml:"origin_ca"`   // absolute path, or ""
	OriginCert       string   `toml:"origin_cert"` // absolute path, or ""; so is OriginKey
	OriginKey        string   `toml:"origin_key"`
	OriginServerName string   `toml:"origin_server_name"` // normalised, or "": the origin's host
	ConnectTimeout   Duration `toml:"connect_timeout"`    // > 0
	OriginTimeout    Duration `toml:"origin_timeout"`     // > 0

	ForwardingGiven bool `toml:"-"` // client_certificate_forwarding is in the file: what the API says of it does not count

	OriginRoots *x509.CertPool   `toml:"-"` // what origin_ca held, nil without it
	OriginPair  *tls.Certificate `toml:"-"` // what origin_cert and origin_key held, nil without them
	OriginTLSID string           `toml:"-"` // changes with any of those; "" without any

	DenyMessage string `toml:"custom_deny_message"`          // plain text
	DenyPage    string `toml:"custom_deny_page"`             // absolute path, or ""
	DenyURL     string `toml:"custom_non_identity_deny_url"` // absolute http or https URL, or ""; not beside DenyPage

	DenyTemplate *template.Template `toml:"-"` // what custom_deny_page held, nil without it
}

// The modes of an application.
const (
	ModeEnforce    = "enforce"
	ModeReportOnly = "report_only"
)

// A Policy admits or refuses: any of Include, all of Require, none of Exclude.
type Policy struct {
	Name    string     `toml:"name"`
	Action  string     `toml:"action"` // allow, block, bypass or service_auth
	Include []Selector `toml:"include"`
	Require []Selector `toml:"require"`
	Exclude []Selector `toml:"exclude"`
}

// The types of channels.
const (
	TypeEmail   = "email"
	TypeSlack   = "slack"
	TypeWebhook = "webhook"
)

// ReportWeekly has a channel get a report each week.
const ReportWeekly = "weekly"

// A Channel is a destination of alerts. Keys of other types than Type are
// zero. What a *_file key named has been read into the key beside it.
type Channel struct {
	Name   string `toml:"name"`
	Type   string `toml:"type"`
	Report string `toml:"report"` // "" or ReportWeekly

	SMTP             string   `toml:"smtp"` // host:port
	TLS              string   `toml:"tls"`  // starttls, tls or none
	Username         string   `toml:"username"`
	Password         Secret   `toml:"password"`
	PasswordFile     string   `toml:"password_file"`
	From             string   `toml:"from"` // RFC 5322 mailbox
	To               []string `toml:"to"`   // bare addresses
	DefaultTransport bool     `toml:"default_transport"`

	WebhookURL     Secret `toml:"webhook_url"`
	WebhookURLFile string `toml:"webhook_url_file"`
	Token          Secret `toml:"token"`
	TokenFile      string `toml:"token_file"`
	Channel        string `toml:"channel"`

	URL        Secret `toml:"url"`
	URLFile    string `toml:"url_file"`
	Format     string `toml:"format"` // one of the formats of webhooks
	Secret     Secret `toml:"secret"`
	SecretFile string `toml:"secret_file"`

	PreviousSecret     Secret `toml:"previous_secret"` // signs beside Secret
	PreviousSecretFile string `toml:"previous_secret_file"`

	Authorization     Secret `toml:"authorization"` // value of that header
	AuthorizationFile string `toml:"authorization_file"`
	TemplateFile      string `toml:"template_file"` // absolute path, or ""
	ContentType       string `toml:"content_type"`

	Template     *templates.Body `toml:"-" json:"-"` // what template_file held, nil without it
	TemplateText string          `toml:"-"`
}

// An Alert is a rule: which items, when, and to whom.
type Alert struct {
	Name            string            `toml:"name"`
	Kinds           []string          `toml:"kinds"`
	Before          []Duration        `toml:"before"` // distinct, none negative
	Channels        []string          `toml:"channels"`
	Escalate        []Escalation      `toml:"escalate"` // distinct, also from Before
	Match           map[string]string `toml:"match"`
	Hostnames       []string          `toml:"hostnames"` // patterns in lower case, accepted by package glob
	CAs             []string          `toml:"cas"`       // names of bundles
	ScaleShortLived bool              `toml:"scale_short_lived"`
	Repeat          Duration          `toml:"repeat"`        // 0 or at least 1h
	RepeatFrom      Duration          `toml:"repeat_from"`   // one of the thresholds, where Repeat is not 0
	Digest          Duration          `toml:"digest"`        // 0, or 1h to 7d
	OwnerDomains    []string          `toml:"owner_domains"` // in lower case
}

// An Escalation is one more threshold of a rule, with its own channels.
type Escalation struct {
	Before   Duration `toml:"before"`
	Channels []string `toml:"channels"` // at least one
}
