package clients_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudflare/cloudflare-go/v6"
	"github.com/cloudflare/cloudflare-go/v6/accounts"
	"github.com/cloudflare/cloudflare-go/v6/option"
	"github.com/cloudflare/cloudflare-go/v6/zero_trust"
)

func v6Client(g gateway, token string, more ...option.RequestOption) *cloudflare.Client {
	return cloudflare.NewClient(append([]option.RequestOption{option.WithBaseURL(g.api), option.WithAPIToken(token)}, more...)...)
}

// v6Code returns the status and the code of the client's error.
func v6Code(err error) (status int, code int64) {
	if e, ok := errors.AsType[*cloudflare.Error](err); ok && len(e.Errors) == 1 {
		return e.StatusCode, e.Errors[0].Code
	}
	return 0, 0
}

// TestV6_Certificate is Terraform's way with a certificate, by the newer client.
func TestV6_Certificate(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	certificates := v6Client(g, g.write).ZeroTrust.Access.Certificates
	for _, scope := range []struct {
		name          string
		account, zone string
	}{{"account", account, ""}, {"zone", "", account}} {
		t.Run(scope.name, func(t *testing.T) {
			ctx, ca, accountID, zoneID := t.Context(), newCA(t, scope.name, 400), cloudflare.F(scope.account), cloudflare.F(scope.zone)
			made, err := certificates.New(ctx, zero_trust.AccessCertificateNewParams{
				AccountID: accountID, ZoneID: zoneID, Name: cloudflare.F(scope.name), Certificate: cloudflare.F(ca.pem), AssociatedHostnames: cloudflare.F([]string{"b.example.com", "a.example.com"}),
			})
			if err != nil {
				t.Fatal(err)
			}
			if made.ID == "" || made.Name != scope.name || made.Fingerprint != ca.fingerprint || !made.ExpiresOn.Equal(ca.notAfter) || !slices.Equal(made.AssociatedHostnames, []string{"a.example.com", "b.example.com"}) {
				t.Errorf("created %+v", made)
			}
			read, err := certificates.Get(ctx, made.ID, zero_trust.AccessCertificateGetParams{AccountID: accountID, ZoneID: zoneID})
			if err != nil || read.ID != made.ID || read.Fingerprint != made.Fingerprint {
				t.Errorf("read %+v, %v", read, err)
			}
			update := func(hostnames ...string) *zero_trust.Certificate {
				t.Helper()
				c, err := certificates.Update(ctx, made.ID, zero_trust.AccessCertificateUpdateParams{AccountID: accountID, ZoneID: zoneID, AssociatedHostnames: cloudflare.F(hostnames)})
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			if c := update("c.example.com"); c.Name != scope.name || !slices.Equal(c.AssociatedHostnames, []string{"c.example.com"}) {
				t.Errorf("updated %+v", c)
			}
			remove := func() error {
				gone, err := certificates.Delete(ctx, made.ID, zero_trust.AccessCertificateDeleteParams{AccountID: accountID, ZoneID: zoneID})
				if err == nil && gone.ID != made.ID {
					t.Errorf("deleted %+v", gone)
				}
				return err
			}
			err = remove()
			if status, code := v6Code(err); status != http.StatusConflict || code != 12132 || !strings.Contains(err.Error(), "certificate has active associations") {
				t.Errorf("deleting it with a hostname: %v", err)
			}
			if c := update([]string{}...); c.AssociatedHostnames == nil || len(c.AssociatedHostnames) != 0 {
				t.Errorf("cleared %+v", c)
			}
			if err := remove(); err != nil {
				t.Error(err)
			}
			_, err = certificates.Get(ctx, made.ID, zero_trust.AccessCertificateGetParams{AccountID: accountID, ZoneID: zoneID})
			if status, code := v6Code(err); status != http.StatusNotFound || code != 12135 {
				t.Errorf("reading it after that: %v", err)
			}
		})
	}
}

// TestV6_BetterThanTheReference uses what the reference does not have by the
// client's options: a renewal, If-Match, force.
func TestV6_BetterThanTheReference(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	ctx, certificates, id := t.Context(), v6Client(g, g.write).ZeroTrust.Access.Certificates, cloudflare.F(account)
	old, fresh := newCA(t, "Root", 20), newCA(t, "Root", 400)
	hostnames := cloudflare.F([]string{"a.example.com"})
	var response *http.Response
	made, err := certificates.New(ctx, zero_trust.AccessCertificateNewParams{AccountID: id, Name: cloudflare.F("root"), Certificate: cloudflare.F(old.pem), AssociatedHostnames: hostnames}, option.WithResponseInto(&response))
	if err != nil {
		t.Fatal(err)
	}
	match := option.WithHeader("If-Match", response.Header.Get("ETag"))
	params := zero_trust.AccessCertificateUpdateParams{AccountID: id, AssociatedHostnames: hostnames}
	renewed, err := certificates.Update(ctx, made.ID, params, option.WithJSONSet("certificate", fresh.pem), match)
	if err != nil || renewed.ID != made.ID || renewed.Fingerprint != fresh.fingerprint || !renewed.ExpiresOn.Equal(fresh.notAfter) {
		t.Errorf("renewed %+v, %v", renewed, err)
	}
	if _, err := certificates.Update(ctx, made.ID, params, match); err == nil {
		t.Error("a writer that came late was let in")
	} else if status, code := v6Code(err); status != http.StatusPreconditionFailed || code != 12132 {
		t.Errorf("a writer that came late: %v", err)
	}
	soon, err := certificates.List(ctx, zero_trust.AccessCertificateListParams{AccountID: id}, option.WithQuery("expiring_before", old.notAfter.Add(time.Hour).Format(time.RFC3339)))
	if err != nil || len(soon.Result) != 0 {
		t.Errorf("ending soon after the renewal: %+v, %v", soon, err)
	}
	if _, err := certificates.Delete(ctx, made.ID, zero_trust.AccessCertificateDeleteParams{AccountID: id}, option.WithQuery("force", "true")); err != nil {
		t.Errorf("forced: %v", err)
	}
}

func TestV6_List(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	ctx, certificates, id := t.Context(), v6Client(g, g.write).ZeroTrust.Access.Certificates, cloudflare.F(account)
	want := map[string]bool{}
	for i := range 26 {
		name := fmt.Sprintf("ca %02d", i)
		if _, err := certificates.New(ctx, zero_trust.AccessCertificateNewParams{AccountID: id, Name: cloudflare.F(name), Certificate: cloudflare.F(newCA(t, name, 400).pem)}); err != nil {
			t.Fatal(err)
		}
		want[name] = true
	}
	for _, params := range []zero_trust.AccessCertificateListParams{{AccountID: id}, {ZoneID: id, PerPage: cloudflare.F(int64(13))}} {
		got := map[string]bool{}
		pager := certificates.ListAutoPaging(ctx, params)
		for pager.Next() {
			c := pager.Current()
			if got[c.Name] || !want[c.Name] || c.AssociatedHostnames == nil {
				t.Errorf("listed %+v", c)
			}
			got[c.Name] = true
		}
		if pager.Err() != nil || len(got) != len(want) {
			t.Errorf("%d listed, %v", len(got), pager.Err())
		}
	}
}

func TestV6_Settings(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	ctx, settings, id := t.Context(), v6Client(g, g.write).ZeroTrust.Access.Certificates.Settings, cloudflare.F(account)
	setting := func(hostname string, forward, china bool) zero_trust.CertificateSettingsParam {
		return zero_trust.CertificateSettingsParam{Hostname: cloudflare.F(hostname), ClientCertificateForwarding: cloudflare.F(forward), ChinaNetwork: cloudflare.F(china)}
	}
	put := func(list ...zero_trust.CertificateSettingsParam) ([]zero_trust.CertificateSettings, error) {
		page, err := settings.Update(ctx, zero_trust.AccessCertificateSettingUpdateParams{AccountID: id, Settings: cloudflare.F(list)})
		if err != nil {
			return nil, err
		}
		return page.Result, nil
	}
	stored, err := put(setting("b.example.com", true, false), setting("a.example.com", false, false))
	if err != nil {
		t.Fatal(err)
	}
	var read []zero_trust.CertificateSettings
	pager := settings.GetAutoPaging(ctx, zero_trust.AccessCertificateSettingGetParams{ZoneID: id})
	for pager.Next() {
		read = append(read, pager.Current())
	}
	if pager.Err() != nil {
		t.Fatal(pager.Err())
	}
	for _, list := range [][]zero_trust.CertificateSettings{stored, read} {
		if len(list) != 2 || list[0].Hostname != "b.example.com" || !list[0].ClientCertificateForwarding || list[0].ChinaNetwork || list[1].Hostname != "a.example.com" || list[1].ClientCertificateForwarding {
			t.Errorf("settings %+v", list)
		}
	}
	_, err = put(setting("a.example.com", true, true))
	if status, code := v6Code(err); status != http.StatusBadRequest || code != 12130 {
		t.Errorf("the china network: %v", err)
	}
	if e, ok := errors.AsType[*cloudflare.Error](err); ok && e.Errors[0].Source.Pointer != "/settings/0/china_network" {
		t.Errorf("the china network is refused at %q", e.Errors[0].Source.Pointer)
	}
	if cleared, err := put([]zero_trust.CertificateSettingsParam{}...); err != nil || len(cleared) != 0 {
		t.Errorf("cleared: %+v, %v", cleared, err)
	}
}

// A counter counts the requests that a client really makes.
type counter struct{ requests atomic.Int64 }

func (c *counter) Do(r *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	return http.DefaultClient.Do(r)
}

// TestV6_Refusals holds that errors have their codes, and that the client does
// not try again what stays refused: it would try a conflict three times.
func TestV6_Refusals(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	var count counter
	ctx, root, id := t.Context(), newCA(t, "Root", 400), cloudflare.F(account)
	create := func(token, name, pem string) error {
		_, err := v6Client(g, token, option.WithHTTPClient(&count)).ZeroTrust.Access.Certificates.New(ctx, zero_trust.AccessCertificateNewParams{AccountID: id, Name: cloudflare.F(name), Certificate: cloudflare.F(pem)})
		return err
	}
	if err := create(g.write, "root", root.pem); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, token, ca, pem string
		status               int
		code                 int64
	}{
		{"the same again", g.write, "root", root.pem, 409, 12132},
		{"a name in use", g.write, "root", newCA(t, "Other", 400).pem, 409, 12132},
		{"bad PEM", g.write, "x", "-----BEGIN CERTIFICATE-----", 400, 12130},
		{"a read token", g.read, "x", root.pem, 403, 9109},
		{"an unknown token", "wrong", "x", root.pem, 401, 10000},
	} {
		before := count.requests.Load()
		err := create(tt.token, tt.ca, tt.pem)
		if status, code := v6Code(err); status != tt.status || code != tt.code {
			t.Errorf("%s: %v", tt.name, err)
		}
		if n := count.requests.Load() - before; n != 1 {
			t.Errorf("%s: the client asked %d times", tt.name, n)
		}
	}
}

func TestV6_Credentials(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	base := option.WithBaseURL(g.api + "/")
	for name, client := range map[string]*cloudflare.Client{
		"the pair":      cloudflare.NewClient(base, option.WithAPIKey(g.read), option.WithAPIEmail("someone@example.com")),
		"a service key": cloudflare.NewClient(base, option.WithUserServiceKey(g.read)),
	} {
		if _, err := client.ZeroTrust.Access.Certificates.List(t.Context(), zero_trust.AccessCertificateListParams{AccountID: cloudflare.F(account)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	client := v6Client(g, g.read)
	if verified, err := client.User.Tokens.Verify(t.Context()); err != nil || verified.Status != "active" || verified.ID == "" {
		t.Errorf("verify: %+v, %v", verified, err)
	}
	if verified, err := client.Accounts.Tokens.Verify(t.Context(), accounts.TokenVerifyParams{AccountID: cloudflare.F(account)}); err != nil || verified.Status != "active" {
		t.Errorf("verify for an account: %+v, %v", verified, err)
	}
	_, err := v6Client(g, "wrong").User.Tokens.Verify(t.Context())
	if status, code := v6Code(err); status != http.StatusUnauthorized || code != 1000 {
		t.Errorf("verify an unknown token: %v", err)
	}
}
