package inventory

import (
	"crypto/x509"
	"math/big"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/crl"
)

// A CRL is a stored revocation list: the newest of its issuer's key. There is
// one for each key; a newer one takes its place under the same item.
type CRL struct {
	Item       alert.Item `json:"item"`        // kind crl; its end is nextUpdate
	IssuerKey  string     `json:"issuer_key"`  // SHA-256 of the issuer's SubjectPublicKeyInfo, lower-case hex
	Digest     string     `json:"digest"`      // SHA-256 of the DER, lower-case hex: changes with the list
	Number     *big.Int   `json:"number"`      // CRLNumber; nil where there is none
	ThisUpdate time.Time  `json:"this_update"` //
	NextUpdate time.Time  `json:"next_update"` //
	Entries    int        `json:"entries"`     // how many certificates it revokes

	// Source is where it is refreshed from: an http or https URL, the absolute
	// path of a file, or "" for one that was uploaded.
	Source       string     `json:"source,omitempty"`
	ETag         string     `json:"-"`
	LastModified string     `json:"-"`
	CheckedAt    *time.Time `json:"checked_at,omitempty"` // the last refresh that reached the source
	RefreshAt    *time.Time `json:"refresh_at,omitempty"` // when to look at the source again; nil without one
	Failure      string     `json:"failure,omitempty"`    // why the last refresh failed; "" after a good one
	FailingSince *time.Time `json:"failing_since,omitempty"`
}

// A NewCRL is a list that Issuer has been checked to have signed.
type NewCRL struct {
	List           *crl.List
	DER            []byte
	Issuer         *x509.Certificate
	Source         string // "" leaves the source that is stored
	ETag           string
	LastModified   string
	RefreshAt      *time.Time // nil with a Source: at once
	AcceptRollback bool       // lets it be older than the one that is stored
	Actor          Actor
}

// A CRLRefresh is what came of looking at a list's source when the list did
// not change: it was the same, or could not be had.
type CRLRefresh struct {
	Failure   string         // "" = the stored list is still the current one
	RefreshAt time.Time      // when to look again
	Notices   []alert.Notice // announce the failure; those that are known already are not written again
}

// A CRLReport tells what a list means here.
type CRLReport struct {
	CRL     CRL          `json:"crl"`
	Created bool         `json:"created"` // false: the same list was stored already
	Revokes []alert.Item `json:"revokes"` // known certificates of its issuer that it names; at most 1000
	// RevokesCount is how many such certificates there are in all.
	RevokesCount int      `json:"revokes_count"`
	Unknown      []string `json:"unknown"` // serials, as cert.Serial writes them, that no known certificate of its issuer has; at most 20
	// UnknownCount is how many such serials there are in all.
	UnknownCount int      `json:"unknown_count"`
	Warnings     []string `json:"warnings"`
}

// Constraints limit what a bundle may vouch for, beyond what its certificates
// say themselves. Empty fields do not limit. The enforcer's Constraints say
// what the patterns mean.
type Constraints struct {
	PermitSAN       []string      `json:"permit_san"`
	PermitCN        []string      `json:"permit_cn"`
	MaxLeafLifetime time.Duration `json:"max_leaf_lifetime"` // in JSON as text, "90d"
}
