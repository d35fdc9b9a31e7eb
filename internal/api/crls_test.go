package api_test

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/alert"
	"github.com/certvigil/certvigil/internal/certtest"
	"github.com/certvigil/certvigil/internal/crl"
)

// A report is what the endpoint answers, as far as clients read it.
type report struct {
	CRL struct {
		Entries int   `json:"entries"`
		Number  int64 `json:"number"`
	} `json:"crl"`
	Created bool `json:"created"`
	Revokes []struct {
		Subject string `json:"subject"`
	} `json:"revokes"`
	RevokesCount int      `json:"revokes_count"`
	Unknown      []string `json:"unknown"`
	UnknownCount int      `json:"unknown_count"`
	Warnings     []string `json:"warnings"`
}

func TestCRLs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(certtest.CommonName("Root"), until(20*alert.Day))
	client := ca.Issue(certtest.CommonName("James Royal"), certtest.Serial(0x4A3B), until(10*alert.Day))
	b.addCA(t, "root", ca)
	b.addClient(t, client)
	list := func(number int64, serials ...int64) []byte {
		options := []certtest.CRLOption{certtest.Updates(start.Add(-time.Hour), start.Add(7*alert.Day)), certtest.CRLNumber(number)}
		for _, n := range serials {
			options = append(options, certtest.RevokeSerials(big.NewInt(n)))
		}
		return ca.CRL(options...)
	}
	token := b.token(t, "", nil, "write")
	post := func(body []byte, query string, status int) report {
		t.Helper()
		w := b.do(t, call{token: token, target: "/crls" + query, body: body})
		var got report
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != status {
			t.Fatalf("status %d, want %d: %v\n%s", w.Code, status, err, w.Body)
		}
		return got
	}
	got := post(list(2, 0x4A3B, 5000), "", http.StatusCreated)
	if !got.Created || got.CRL.Entries != 2 || got.CRL.Number != 2 || got.RevokesCount != 1 || len(got.Revokes) != 1 || got.Revokes[0].Subject != "CN=James Royal" {
		t.Errorf("answer %+v", got)
	}
	if got.UnknownCount != 1 || len(got.Unknown) != 1 || got.Unknown[0] != "1388" || len(got.Warnings) != 1 {
		t.Errorf("answer %+v", got)
	}
	again := []byte(base64.StdEncoding.EncodeToString(list(3, 4)))
	if got := post(again, "", http.StatusCreated); len(got.Warnings) != 2 || !strings.Contains(got.Warnings[0], "cfssl gencrl") || !strings.Contains(got.Warnings[0], "4A3B") {
		t.Errorf("a misread serial: %+v", got)
	}
	if got := post(again, "", http.StatusOK); got.Created {
		t.Error("the same list counts as new")
	}
	post(list(1), "", http.StatusConflict)
	post(list(1), "?accept_rollback=true", http.StatusCreated)
	if log := b.log.String(); !strings.Contains(log, "took a revocation list") || strings.Contains(log, token) {
		t.Errorf("the log:\n%s", log)
	}
}

func TestCRLs_Refuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ca := certtest.NewCA(certtest.CommonName("Root"), until(20*alert.Day))
	b.addCA(t, "root", ca)
	write, renew := b.token(t, "", nil, "write"), b.token(t, "", nil, "renew")
	good := ca.CRL(certtest.Updates(start.Add(-time.Hour), start.Add(alert.Day)))
	for name, tc := range map[string]struct {
		call   call
		status int
		rule   string
	}{
		"without a token":      {call{body: good}, http.StatusUnauthorized, "token"},
		"a token for renewals": {call{token: renew, body: good}, http.StatusForbidden, "scope"},
		"an unknown parameter": {call{token: write, body: good, target: "/crls?rollback"}, http.StatusBadRequest, "query"},
		"no list":              {call{token: write, body: []byte("hello")}, http.StatusUnprocessableEntity, "not_a_crl"},
		"a private key":        {call{token: write, body: ca.KeyPEM()}, http.StatusUnprocessableEntity, "private_key"},
		"a CA nobody has":      {call{token: write, body: certtest.NewCA().CRL()}, http.StatusUnprocessableEntity, "crl_issuer"},
		"more than a list has": {call{token: write, body: make([]byte, 2*crl.MaxSize+1)}, http.StatusRequestEntityTooLarge, "upload_size"},
		"by GET":               {call{token: write, method: http.MethodGet}, http.StatusMethodNotAllowed, "method"},
	} {
		if tc.call.target == "" {
			tc.call.target = "/crls"
		}
		w := b.do(t, tc.call)
		var problem struct {
			Rule string `json:"rule"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != tc.status || problem.Rule != tc.rule {
			t.Errorf("%s: status %d, want %d; %v\n%s", name, w.Code, tc.status, err, w.Body)
		}
	}
}
