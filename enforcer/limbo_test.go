package enforcer_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/certvigil/certvigil/enforcer"
	"github.com/certvigil/certvigil/internal/crl"
)

var limboFile = flag.String("limbo", "", "run all cases of this limbo.json too")

// A limboCase is a case of x509-limbo, as far as it concerns us.
type limboCase struct {
	ID            string     `json:"id"`
	Kind          string     `json:"validation_kind"`
	Trusted       []string   `json:"trusted_certs"`
	Intermediates []string   `json:"untrusted_intermediates"`
	Peer          string     `json:"peer_certificate"`
	Time          *time.Time `json:"validation_time"`
	Usages        []string   `json:"extended_key_usage"`
	Expected      string     `json:"expected_result"`
	MaxDepth      *int       `json:"max_chain_depth"`
	CRLs          []string   `json:"crls"`
}

func readLimbo(t testing.TB, file string) []limboCase {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Testcases []limboCase }
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all.Testcases
}

// judge returns our verdict on a case. What does not parse is refused.
func (c *limboCase) judge() (valid bool, why string) {
	chain, err := parseAll(append([]string{c.Peer}, c.Intermediates...))
	if err != nil {
		return false, err.Error()
	}
	anchors, err := parseAll(c.Trusted)
	if err != nil {
		return false, err.Error()
	}
	p := enforcer.PathCase{Chain: chain, Bundles: []enforcer.Bundle{{Name: "limbo", Anchors: anchors}}, At: time.Now(), Usage: x509.ExtKeyUsageServerAuth}
	if c.Kind == "CLIENT" {
		p.Usage = x509.ExtKeyUsageClientAuth
	}
	if c.Time != nil {
		p.At = *c.Time
	}
	if c.MaxDepth != nil {
		p.Longest = *c.MaxDepth + 1
	}
	if p.State, err = c.lists(append(anchors, chain[1:]...)); err != nil {
		return false, err.Error()
	}
	valid, reason, detail, _ := p.Examine()
	return valid, string(reason) + " " + detail
}

// lists are the revocation lists of a case, each loaded for its issuer as
// `crl add` does. One that is not accepted fails the case.
func (c *limboCase) lists(cas []*x509.Certificate) (state enforcer.State, err error) {
	for _, text := range c.CRLs {
		der, err := crl.Decode([]byte(text))
		if err != nil {
			return state, err
		}
		list, err := crl.Parse(der)
		if err != nil {
			return state, err
		}
		issuer, err := issuerOf(list, cas)
		if err != nil {
			return state, err
		}
		state.RevocationLists = append(state.RevocationLists,
			enforcer.RevocationList{IssuerKey: sha256.Sum256(issuer.RawSubjectPublicKeyInfo), List: list})
	}
	return state, nil
}

func issuerOf(list *crl.List, cas []*x509.Certificate) (*x509.Certificate, error) {
	err := errors.New("nobody issued the list")
	for _, ca := range cas {
		if err = list.CheckIssuer(ca); err == nil {
			return ca, nil
		}
	}
	return nil, err
}

func parseAll(texts []string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for _, text := range texts {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, errors.New("no PEM")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// TestLimbo holds us to x509-limbo: to a selection always, to all of it with
// -limbo. Every case agrees or is listed in disagreements with the reason.
func TestLimbo(t *testing.T) {
	t.Parallel()
	files := []string{"testdata/limbo/limbo.json"}
	if *limboFile != "" {
		files = append(files, *limboFile)
	}
	for _, file := range files {
		agree, differ := 0, 0
		seen := map[string]bool{}
		for _, c := range readLimbo(t, file) {
			seen[c.ID] = true
			valid, why := c.judge()
			switch d, listed := disagreements[c.ID]; {
			case valid == (c.Expected == "SUCCESS"):
				agree++
				if listed {
					t.Errorf("%s: we agree by now: take it off the list", c.ID)
				}
			case !listed:
				t.Errorf("%s: expected %s, we say %v (%s)", c.ID, c.Expected, valid, why)
			case valid != d.valid:
				t.Errorf("%s: listed as %v, we say %v (%s)", c.ID, d.valid, valid, why)
			default:
				differ++
			}
		}
		for id := range disagreements {
			if file == *limboFile && !seen[id] {
				t.Errorf("%s is listed, and not in %s", id, file)
			}
		}
		t.Logf("%s: %d agree, %d differ as listed", file, agree, differ)
	}
}
