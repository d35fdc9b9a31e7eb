package clients_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloudflare/cloudflare-go"
)

// The selectors as Terraform's provider builds them.
func v0Rule(key string, inner map[string]any) []any {
	return []any{map[string]any{key: inner}}
}

func TestV0_Guards(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	ctx, api, scope := t.Context(), v0Client(t, g.gateway, g.write), v0Scopes["account"]
	var policy cloudflare.AccessPolicy
	testGuards(t, g, guarded[0], keeper{
		create: func(host string) string {
			app, err := api.CreateAccessApplication(ctx, scope, cloudflare.CreateAccessApplicationParams{Name: "orders", Domain: host, Type: cloudflare.SelfHosted, SessionDuration: "24h"})
			if err != nil {
				t.Fatal(err)
			}
			policy, err = api.CreateAccessPolicy(ctx, scope, cloudflare.CreateAccessPolicyParams{
				ApplicationID: app.ID, Name: "devices", Decision: "non_identity", Precedence: 1, Include: v0Rule("certificate", map[string]any{}),
			})
			if err != nil {
				t.Fatal(err)
			}
			return app.ID
		},
		close: func(id string) {
			_, err := api.UpdateAccessPolicy(ctx, scope, cloudflare.UpdateAccessPolicyParams{
				ApplicationID: id, PolicyID: policy.ID, Name: "devices", Decision: "deny", Precedence: 1, Include: v0Rule("everyone", map[string]any{}),
			})
			if err != nil {
				t.Fatal(err)
			}
		},
		remove: func(id string) {
			if err := api.DeleteAccessApplication(ctx, scope, id); err != nil {
				t.Fatal(err)
			}
		},
	})
}

// TestV0_Application is Terraform's way with an application: create, read,
// update, list, delete.
func TestV0_Application(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	api := v0Client(t, g.gateway, g.write)
	for name, scope := range v0Scopes {
		t.Run(name, func(t *testing.T) {
			ctx, yes, no := t.Context(), true, false
			made, err := api.CreateAccessApplication(ctx, scope, cloudflare.CreateAccessApplicationParams{
				Name: name, Domain: "orders.example.com/admin", Type: cloudflare.SelfHosted, SessionDuration: "2h45m", CustomDenyMessage: "Ask the desk",
				CustomNonIdentityDenyURL: "https://help.example.com/", HttpOnlyCookieAttribute: &no, SameSiteCookieAttribute: "strict", PathCookieAttribute: &yes,
				OptionsPreflightBypass: &yes, AppLauncherVisible: &yes, AutoRedirectToIdentity: &no, EnableBindingCookie: &no, SkipInterstitial: &no, AllowedIdps: []string{},
				Destinations: []cloudflare.AccessDestination{{Type: cloudflare.AccessDestinationPublic, URI: "shop.example.com"}, {Type: cloudflare.AccessDestinationPublic, URI: "orders.example.com/admin"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			read, err := api.GetAccessApplication(ctx, scope, made.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range []cloudflare.AccessApplication{made, read} {
				if a.ID == "" || len(a.AUD) != 64 || a.Name != name || a.Domain != "orders.example.com/admin" || a.Type != "self_hosted" || a.SessionDuration != "2h45m" ||
					a.CustomDenyMessage != "Ask the desk" || a.CustomNonIdentityDenyURL != "https://help.example.com/" || *a.HttpOnlyCookieAttribute || a.SameSiteCookieAttribute != "strict" ||
					!*a.PathCookieAttribute || !*a.OptionsPreflightBypass || !*a.AppLauncherVisible || *a.AutoRedirectToIdentity || len(a.Destinations) != 2 || a.Destinations[0].URI != "shop.example.com" ||
					a.CreatedAt == nil || a.UpdatedAt == nil {
					t.Errorf("%+v", a)
				}
			}
			changed, err := api.UpdateAccessApplication(ctx, scope, cloudflare.UpdateAccessApplicationParams{ID: made.ID, Name: name + " 2", Domain: "shop.example.com", Type: cloudflare.SelfHosted})
			if err != nil || changed.Name != name+" 2" || changed.Domain != "shop.example.com" || changed.SessionDuration != "24h" || changed.CustomDenyMessage != "" || changed.AUD != made.AUD || len(changed.Destinations) != 1 {
				t.Errorf("updated %+v, %v", changed, err)
			}
			list, info, err := api.ListAccessApplications(ctx, scope, cloudflare.ListAccessApplicationsParams{})
			if err != nil || len(list) != 1 || list[0].ID != made.ID || info.Total != 1 {
				t.Errorf("list %+v, %+v, %v", list, info, err)
			}
			if err := api.RevokeAccessApplicationTokens(ctx, scope, made.ID); err != nil {
				t.Errorf("revoking tokens: %v", err)
			}
			if err := api.DeleteAccessApplication(ctx, scope, made.ID); err != nil {
				t.Error(err)
			}
			_, err = api.GetAccessApplication(ctx, scope, made.ID)
			if gone, ok := errors.AsType[*cloudflare.NotFoundError](err); !ok || !gone.InternalErrorCodeIs(12135) {
				t.Errorf("reading it after that: %T %v", err, err)
			}
		})
	}
}

// TestV0_Policies holds an application's own policies and reusable ones.
func TestV0_Policies(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	ctx, api, scope := t.Context(), v0Client(t, g.gateway, g.write), v0Scopes["zone"]
	app, err := api.CreateAccessApplication(ctx, scope, cloudflare.CreateAccessApplicationParams{Name: "orders", Domain: guarded[0], Type: cloudflare.SelfHosted})
	if err != nil {
		t.Fatal(err)
	}
	day := "12h"
	policy := func(app, name string, precedence int) cloudflare.CreateAccessPolicyParams {
		return cloudflare.CreateAccessPolicyParams{
			ApplicationID: app, Name: name, Decision: "allow", Precedence: precedence, SessionDuration: &day,
			Include: v0Rule("common_name", map[string]any{"common_name": "James Royal"}), Require: v0Rule("ip", map[string]any{"ip": "127.0.0.0/8"}),
			Exclude: v0Rule("san_dns", map[string]any{"san_dns": "*.Lost.example.com", "ca": "root"}),
		}
	}
	own, err := api.CreateAccessPolicy(ctx, scope, policy(app.ID, "own", 2))
	if err != nil || own.Precedence != 2 || *own.Reusable || *own.SessionDuration != day || fmt.Sprint(own.Include, own.Require, own.Exclude) !=
		"[map[common_name:map[common_name:James Royal]]] [map[ip:map[ip:127.0.0.0/8]]] [map[san_dns:map[ca:root san_dns:*.lost.example.com]]]" {
		t.Fatalf("own %+v, %v", own, err)
	}
	shared, err := api.CreateAccessPolicy(ctx, scope, policy("", "shared", 0))
	if err != nil || !*shared.Reusable || shared.Precedence != 0 {
		t.Fatalf("shared %+v, %v", shared, err)
	}
	attached, err := api.UpdateAccessApplication(ctx, scope, cloudflare.UpdateAccessApplicationParams{ID: app.ID, Name: app.Name, Domain: app.Domain, Policies: &[]string{shared.ID, own.ID}})
	if err != nil || len(attached.Policies) != 2 || attached.Policies[0].ID != shared.ID || attached.Policies[1].Precedence != 2 {
		t.Fatalf("attached %+v, %v", attached.Policies, err)
	}
	for applicationID, want := range map[string][]string{app.ID: {shared.ID, own.ID}, "": {shared.ID}} {
		list, _, err := api.ListAccessPolicies(ctx, scope, cloudflare.ListAccessPoliciesParams{ApplicationID: applicationID})
		var ids []string
		for _, p := range list {
			ids = append(ids, p.ID)
		}
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("the policies of %q are %v, %v", applicationID, ids, err)
		}
	}
	if p, err := api.GetAccessPolicy(ctx, scope, cloudflare.GetAccessPolicyParams{ApplicationID: app.ID, PolicyID: shared.ID}); err != nil || p.Precedence != 1 {
		t.Errorf("read %+v, %v", p, err)
	}
	err = api.DeleteAccessPolicy(ctx, scope, cloudflare.DeleteAccessPolicyParams{PolicyID: shared.ID})
	if request, ok := errors.AsType[*cloudflare.RequestError](err); !ok || !request.InternalErrorCodeIs(12132) || !strings.Contains(err.Error(), "in use by the applications orders") {
		t.Errorf("deleting one in use: %T %v", err, err)
	}
	if err := api.DeleteAccessPolicy(ctx, scope, cloudflare.DeleteAccessPolicyParams{ApplicationID: app.ID, PolicyID: own.ID}); err != nil {
		t.Error(err)
	}
	if _, err := api.UpdateAccessApplication(ctx, scope, cloudflare.UpdateAccessApplicationParams{ID: app.ID, Name: app.Name, Domain: app.Domain, Policies: &[]string{}}); err != nil {
		t.Error(err)
	}
	if err := api.DeleteAccessPolicy(ctx, scope, cloudflare.DeleteAccessPolicyParams{PolicyID: shared.ID}); err != nil {
		t.Error(err)
	}
	_, err = api.CreateAccessPolicy(ctx, scope, cloudflare.CreateAccessPolicyParams{Name: "x", Decision: "allow", Include: v0Rule("certificate", map[string]any{}), Exclude: v0Rule("email", map[string]any{"email": "a@example.com"})})
	if request, ok := errors.AsType[*cloudflare.RequestError](err); !ok || !request.InternalErrorCodeIs(12130) || !strings.Contains(err.Error(), `"email"`) {
		t.Errorf("an excluded address: %T %v", err, err)
	}
}
