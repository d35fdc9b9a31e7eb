package clients_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloudflare/cloudflare-go"
)

// Both ways in which the older client names what it works on.
var v0Scopes = map[string]*cloudflare.ResourceContainer{
	"account": cloudflare.AccountIdentifier(account), "zone": cloudflare.ZoneIdentifier("fedcba9876543210fedcba9876543210"),
}

func v0Options(g gateway) []cloudflare.Option {
	return []cloudflare.Option{cloudflare.BaseURL(g.api), cloudflare.UsingRateLimit(1000), cloudflare.UsingRetryPolicy(0, 0, 0)}
}

func v0Client(t *testing.T, g gateway, token string) *cloudflare.API {
	t.Helper()
	api, err := cloudflare.NewWithAPIToken(token, v0Options(g)...)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// TestV0_Certificate is Terraform's way with a certificate: create, read,
// update the hostnames, fail to delete, clear the hostnames, delete.
func TestV0_Certificate(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	api := v0Client(t, g, g.write)
	for name, scope := range v0Scopes {
		t.Run(name, func(t *testing.T) {
			ctx, ca := t.Context(), newCA(t, name, 400)
			made, err := api.CreateAccessMutualTLSCertificate(ctx, scope, cloudflare.CreateAccessMutualTLSCertificateParams{
				Name: name, Certificate: ca.pem, AssociatedHostnames: []string{"b.example.com", "a.example.com"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if made.ID == "" || made.Name != name || made.Fingerprint != ca.fingerprint || !made.ExpiresOn.Equal(ca.notAfter) || made.CreatedAt.IsZero() ||
				!slices.Equal(made.AssociatedHostnames, []string{"a.example.com", "b.example.com"}) {
				t.Errorf("created %+v", made)
			}
			read, err := api.GetAccessMutualTLSCertificate(ctx, scope, made.ID)
			if err != nil || read.ID != made.ID || read.Fingerprint != made.Fingerprint {
				t.Errorf("read %+v, %v", read, err)
			}
			updated, err := api.UpdateAccessMutualTLSCertificate(ctx, scope, cloudflare.UpdateAccessMutualTLSCertificateParams{
				ID: made.ID, Name: name + " renamed", Certificate: ca.pem, Fingerprint: "ignored", AssociatedHostnames: []string{"c.example.com"},
			})
			if err != nil || updated.Name != name+" renamed" || !slices.Equal(updated.AssociatedHostnames, []string{"c.example.com"}) || updated.ID != made.ID {
				t.Errorf("updated %+v, %v", updated, err)
			}
			err = api.DeleteAccessMutualTLSCertificate(ctx, scope, made.ID)
			if request, ok := errors.AsType[*cloudflare.RequestError](err); !ok || !request.InternalErrorCodeIs(12132) || request.RayID() == "" ||
				!strings.Contains(err.Error(), "access.api.error.conflict: certificate has active associations") {
				t.Errorf("deleting it with a hostname: %T %v", err, err)
			}
			cleared, err := api.UpdateAccessMutualTLSCertificate(ctx, scope, cloudflare.UpdateAccessMutualTLSCertificateParams{ID: made.ID, AssociatedHostnames: []string{}})
			if err != nil || len(cleared.AssociatedHostnames) != 0 || cleared.Name != name+" renamed" {
				t.Errorf("cleared %+v, %v", cleared, err)
			}
			if err := api.DeleteAccessMutualTLSCertificate(ctx, scope, made.ID); err != nil {
				t.Error(err)
			}
			_, err = api.GetAccessMutualTLSCertificate(ctx, scope, made.ID)
			if gone, ok := errors.AsType[*cloudflare.NotFoundError](err); !ok || !gone.InternalErrorCodeIs(12135) {
				t.Errorf("reading it after that: %T %v", err, err)
			}
		})
	}
}

// TestV0_Renewal holds that a new certificate in an update is not ignored.
func TestV0_Renewal(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	ctx, api, scope := t.Context(), v0Client(t, g, g.write), v0Scopes["account"]
	old, fresh := newCA(t, "Root", 20), newCA(t, "Root", 400)
	made, err := api.CreateAccessMutualTLSCertificate(ctx, scope, cloudflare.CreateAccessMutualTLSCertificateParams{Name: "root", Certificate: old.pem, AssociatedHostnames: []string{"a.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := api.UpdateAccessMutualTLSCertificate(ctx, scope, cloudflare.UpdateAccessMutualTLSCertificateParams{
		ID: made.ID, Name: "root", Certificate: fresh.pem, AssociatedHostnames: made.AssociatedHostnames,
	})
	if err != nil || renewed.ID != made.ID || renewed.Fingerprint != fresh.fingerprint || !renewed.ExpiresOn.Equal(fresh.notAfter) || !slices.Equal(renewed.AssociatedHostnames, made.AssociatedHostnames) {
		t.Errorf("renewed %+v, %v", renewed, err)
	}
}

func TestV0_List(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	ctx, api, scope := t.Context(), v0Client(t, g, g.write), v0Scopes["zone"]
	none, info, err := api.ListAccessMutualTLSCertificates(ctx, scope, cloudflare.ListAccessMutualTLSCertificatesParams{})
	if err != nil || len(none) != 0 || info.Total != 0 {
		t.Errorf("none: %v, %+v, %v", none, info, err)
	}
	var want []string
	for i := range 26 {
		name := fmt.Sprintf("ca %02d", i)
		if _, err := api.CreateAccessMutualTLSCertificate(ctx, scope, cloudflare.CreateAccessMutualTLSCertificateParams{Name: name, Certificate: newCA(t, name, 400).pem}); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	names := func(params cloudflare.ListAccessMutualTLSCertificatesParams) []string {
		list, _, err := api.ListAccessMutualTLSCertificates(ctx, scope, params)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list {
			got = append(got, c.Name)
		}
		slices.Sort(got) // those of one millisecond have no order among them
		return got
	}
	if got := names(cloudflare.ListAccessMutualTLSCertificatesParams{}); !slices.Equal(got, want) {
		t.Errorf("all pages list %v", got)
	}
	if got := names(cloudflare.ListAccessMutualTLSCertificatesParams{ResultInfo: cloudflare.ResultInfo{Page: 3, PerPage: 12}}); len(got) != 2 {
		t.Errorf("the third page lists %v", got)
	}
	if got := names(cloudflare.ListAccessMutualTLSCertificatesParams{ResultInfo: cloudflare.ResultInfo{Page: 4, PerPage: 12}}); len(got) != 0 {
		t.Errorf("beyond the last page are %v", got)
	}
}

func TestV0_Settings(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	ctx, api := t.Context(), v0Client(t, g, g.write)
	yes, no := true, false
	put := func(scope string, list ...cloudflare.AccessMutualTLSHostnameSettings) []cloudflare.AccessMutualTLSHostnameSettings {
		t.Helper()
		got, err := api.UpdateAccessMutualTLSHostnameSettings(ctx, v0Scopes[scope], cloudflare.UpdateAccessMutualTLSHostnameSettingsParams{Settings: list})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	put("account", cloudflare.AccessMutualTLSHostnameSettings{Hostname: "old.example.com"})
	stored := put("account", cloudflare.AccessMutualTLSHostnameSettings{Hostname: "b.example.com", ClientCertificateForwarding: &yes, ChinaNetwork: &no}, cloudflare.AccessMutualTLSHostnameSettings{Hostname: "a.example.com"})
	read, err := api.GetAccessMutualTLSHostnameSettings(ctx, v0Scopes["zone"])
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]cloudflare.AccessMutualTLSHostnameSettings{stored, read} {
		if len(list) != 2 || list[0].Hostname != "b.example.com" || !*list[0].ClientCertificateForwarding || *list[0].ChinaNetwork || list[1].Hostname != "a.example.com" || *list[1].ClientCertificateForwarding {
			t.Errorf("settings %+v", list)
		}
	}
	_, err = api.UpdateAccessMutualTLSHostnameSettings(ctx, v0Scopes["account"], cloudflare.UpdateAccessMutualTLSHostnameSettingsParams{
		Settings: []cloudflare.AccessMutualTLSHostnameSettings{{Hostname: "a.example.com", ChinaNetwork: &yes}},
	})
	if request, ok := errors.AsType[*cloudflare.RequestError](err); !ok || !request.InternalErrorCodeIs(12130) {
		t.Errorf("the china network: %T %v", err, err)
	}
	if got := put("zone"); len(got) != 0 {
		t.Errorf("cleared: %+v", got)
	}
}

func TestV0_Refusals(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	ctx, api, scope, root := t.Context(), v0Client(t, g, g.write), v0Scopes["account"], newCA(t, "Root", 400)
	create := func(api *cloudflare.API, name, pem string) error {
		_, err := api.CreateAccessMutualTLSCertificate(ctx, scope, cloudflare.CreateAccessMutualTLSCertificateParams{Name: name, Certificate: pem})
		return err
	}
	if err := create(api, "root", root.pem); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"a second name": create(api, "second", root.pem), "a name in use": create(api, "root", newCA(t, "Other", 400).pem)} {
		if request, ok := errors.AsType[*cloudflare.RequestError](err); !ok || !request.InternalErrorCodeIs(12132) || !strings.Contains(err.Error(), `"root"`) {
			t.Errorf("%s: %T %v", what, err, err)
		}
	}
	if request, ok := errors.AsType[*cloudflare.RequestError](create(api, "x", "-----BEGIN CERTIFICATE-----")); !ok || !request.InternalErrorCodeIs(12130) {
		t.Error("bad PEM is no request error of code 12130")
	}
	// The names of these two types are swapped in that client.
	if forbidden, ok := errors.AsType[*cloudflare.AuthenticationError](create(v0Client(t, g, g.read), "x", root.pem)); !ok || !forbidden.InternalErrorCodeIs(9109) {
		t.Error("a read token is not forbidden to create")
	}
	if unknown, ok := errors.AsType[*cloudflare.AuthorizationError](create(v0Client(t, g, "wrong"), "x", root.pem)); !ok || !unknown.InternalErrorCodeIs(10000) {
		t.Error("an unknown token is not refused by code 10000")
	}
}

func TestV0_Credentials(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	pair, err := cloudflare.New(g.read, "someone@example.com", v0Options(g)...)
	if err != nil {
		t.Fatal(err)
	}
	service, err := cloudflare.NewWithUserServiceKey(g.read, v0Options(g)...)
	if err != nil {
		t.Fatal(err)
	}
	for name, api := range map[string]*cloudflare.API{"the pair": pair, "a service key": service} {
		if _, _, err := api.ListAccessMutualTLSCertificates(t.Context(), v0Scopes["account"], cloudflare.ListAccessMutualTLSCertificatesParams{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if verified, err := v0Client(t, g, g.read).VerifyAPIToken(t.Context()); err != nil || verified.Status != "active" || verified.ID == "" {
		t.Errorf("verify: %+v, %v", verified, err)
	}
	_, err = v0Client(t, g, "wrong").VerifyAPIToken(t.Context())
	if unknown, ok := errors.AsType[*cloudflare.AuthorizationError](err); !ok || !unknown.InternalErrorCodeIs(1000) {
		t.Errorf("verify an unknown token: %T %v, want code 1000 with status %d", err, err, http.StatusUnauthorized)
	}
}
