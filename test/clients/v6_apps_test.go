package clients_test

import (
	"net/http"
	"testing"

	"github.com/cloudflare/cloudflare-go/v6"
	"github.com/cloudflare/cloudflare-go/v6/option"
	"github.com/cloudflare/cloudflare-go/v6/zero_trust"
)

var (
	anyCertificate = []zero_trust.AccessRuleUnionParam{zero_trust.CertificateRuleParam{Certificate: cloudflare.F(zero_trust.CertificateRuleCertificateParam{})}}
	everyone       = []zero_trust.AccessRuleUnionParam{zero_trust.EveryoneRuleParam{Everyone: cloudflare.F(zero_trust.EveryoneRuleEveryoneParam{})}}
)

// link attaches a policy by its id.
func link(id string, precedence int64) zero_trust.AccessApplicationNewParamsBodySelfHostedApplicationPolicyUnion {
	return zero_trust.AccessApplicationNewParamsBodySelfHostedApplicationPoliciesAccessAppPolicyLink{ID: cloudflare.F(id), Precedence: cloudflare.F(precedence)}
}

// TestV6_Guards is the newer client's way: a reusable policy, attached by its id.
func TestV6_Guards(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	ctx, accountID, access := t.Context(), cloudflare.F(account), v6Client(g.gateway, g.write).ZeroTrust.Access
	var policy string
	testGuards(t, g, guarded[1], keeper{
		create: func(host string) string {
			made, err := access.Policies.New(ctx, zero_trust.AccessPolicyNewParams{
				AccountID: accountID, Name: cloudflare.F("devices"), Decision: cloudflare.F(zero_trust.DecisionNonIdentity), Include: cloudflare.F(anyCertificate),
				SessionDuration: cloudflare.F("24h"), ApprovalRequired: cloudflare.F(false), IsolationRequired: cloudflare.F(false),
			})
			if err != nil {
				t.Fatal(err)
			}
			policy = made.ID
			app, err := access.Applications.New(ctx, zero_trust.AccessApplicationNewParams{AccountID: accountID, Body: zero_trust.AccessApplicationNewParamsBodySelfHostedApplication{
				Domain: cloudflare.F(host), Type: cloudflare.F(zero_trust.ApplicationTypeSelfHosted), Name: cloudflare.F("shop"), SessionDuration: cloudflare.F("24h"),
				Policies: cloudflare.F([]zero_trust.AccessApplicationNewParamsBodySelfHostedApplicationPolicyUnion{link(policy, 1)}),
			}})
			if err != nil {
				t.Fatal(err)
			}
			return app.ID
		},
		close: func(string) {
			if _, err := access.Policies.Update(ctx, policy, zero_trust.AccessPolicyUpdateParams{
				AccountID: accountID, Name: cloudflare.F("devices"), Decision: cloudflare.F(zero_trust.DecisionDeny), Include: cloudflare.F(everyone),
			}); err != nil {
				t.Fatal(err)
			}
		},
		remove: func(id string) {
			if _, err := access.Applications.Delete(ctx, id, zero_trust.AccessApplicationDeleteParams{AccountID: accountID}); err != nil {
				t.Fatal(err)
			}
		},
	})
	if gone, err := access.Policies.Delete(ctx, policy, zero_trust.AccessPolicyDeleteParams{AccountID: accountID}); err != nil || gone.ID != policy {
		t.Errorf("deleted %+v, %v", gone, err)
	}
}

// TestV6_Application is Terraform's way with an application, by the newer client.
func TestV6_Application(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	applications := v6Client(g.gateway, g.write).ZeroTrust.Access.Applications
	for _, scope := range []struct {
		name          string
		account, zone string
	}{{"account", account, ""}, {"zone", "", account}} {
		t.Run(scope.name, func(t *testing.T) {
			ctx, accountID, zoneID := t.Context(), cloudflare.F(scope.account), cloudflare.F(scope.zone)
			destination := func(uri string) zero_trust.AccessApplicationNewParamsBodySelfHostedApplicationDestinationUnion {
				return zero_trust.AccessApplicationNewParamsBodySelfHostedApplicationDestinationsPublicDestination{
					Type: cloudflare.F(zero_trust.AccessApplicationNewParamsBodySelfHostedApplicationDestinationsPublicDestinationTypePublic), URI: cloudflare.F(uri),
				}
			}
			made, err := applications.New(ctx, zero_trust.AccessApplicationNewParams{AccountID: accountID, ZoneID: zoneID, Body: zero_trust.AccessApplicationNewParamsBodySelfHostedApplication{
				Domain: cloudflare.F("orders.example.com"), Type: cloudflare.F(zero_trust.ApplicationTypeSelfHosted), Name: cloudflare.F(scope.name),
				Destinations: cloudflare.F([]zero_trust.AccessApplicationNewParamsBodySelfHostedApplicationDestinationUnion{destination("orders.example.com"), destination("shop.example.com/admin")}),
				AllowedIdPs:  cloudflare.F([]zero_trust.AllowedIdPsParam{}), AppLauncherVisible: cloudflare.F(true), HTTPOnlyCookieAttribute: cloudflare.F(true), Tags: cloudflare.F([]string{"a"}),
			}})
			if err != nil {
				t.Fatal(err)
			}
			read, err := applications.Get(ctx, made.ID, zero_trust.AccessApplicationGetParams{AccountID: accountID, ZoneID: zoneID})
			if err != nil {
				t.Fatal(err)
			}
			app, ok := read.AsUnion().(zero_trust.AccessApplicationGetResponseSelfHostedApplication)
			if !ok || app.ID != made.ID || len(app.AUD) != 64 || app.Domain != "orders.example.com" || app.Type != zero_trust.ApplicationTypeSelfHosted ||
				len(app.Destinations) != 2 || app.Destinations[1].URI != "shop.example.com/admin" || !app.AppLauncherVisible || !app.HTTPOnlyCookieAttribute || len(app.Tags) != 1 || app.SessionDuration != "24h" {
				t.Errorf("read %T %+v", read.AsUnion(), app)
			}
			changed, err := applications.Update(ctx, made.ID, zero_trust.AccessApplicationUpdateParams{AccountID: accountID, ZoneID: zoneID, Body: zero_trust.AccessApplicationUpdateParamsBodySelfHostedApplication{
				Domain: cloudflare.F("orders.example.com"), Type: cloudflare.F(zero_trust.ApplicationTypeSelfHosted), Name: cloudflare.F("renamed"), CustomDenyMessage: cloudflare.F("Ask the desk"),
			}})
			if err != nil || changed.Name != "renamed" || changed.CustomDenyMessage != "Ask the desk" || changed.AUD != made.AUD {
				t.Errorf("updated %+v, %v", changed, err)
			}
			names := map[string]bool{}
			pages := applications.ListAutoPaging(ctx, zero_trust.AccessApplicationListParams{AccountID: accountID, ZoneID: zoneID, Name: cloudflare.F("renam")})
			for pages.Next() {
				names[pages.Current().Name] = true
			}
			if err := pages.Err(); err != nil || len(names) != 1 || !names["renamed"] {
				t.Errorf("listed %v, %v", names, err)
			}
			if _, err := applications.RevokeTokens(ctx, made.ID, zero_trust.AccessApplicationRevokeTokensParams{AccountID: accountID, ZoneID: zoneID}); err != nil {
				t.Error(err)
			}
			gone, err := applications.Delete(ctx, made.ID, zero_trust.AccessApplicationDeleteParams{AccountID: accountID, ZoneID: zoneID})
			if err != nil || gone.ID != made.ID {
				t.Errorf("deleted %+v, %v", gone, err)
			}
			_, err = applications.Get(ctx, made.ID, zero_trust.AccessApplicationGetParams{AccountID: accountID, ZoneID: zoneID})
			if status, code := v6Code(err); status != http.StatusNotFound || code != 12135 {
				t.Errorf("reading it after that: %v", err)
			}
		})
	}
}

// TestV6_ApplicationPolicies holds an application's own policies. The client has
// no fields for their rules, so they are added to its body.
func TestV6_ApplicationPolicies(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	ctx, accountID, access := t.Context(), cloudflare.F(account), v6Client(g.gateway, g.write).ZeroTrust.Access
	app, err := access.Applications.New(ctx, zero_trust.AccessApplicationNewParams{AccountID: accountID, Body: zero_trust.AccessApplicationNewParamsBodySelfHostedApplication{
		Domain: cloudflare.F(guarded[0]), Type: cloudflare.F(zero_trust.ApplicationTypeSelfHosted), Name: cloudflare.F("orders"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	policies := access.Applications.Policies
	_, err = policies.New(ctx, app.ID, zero_trust.AccessApplicationPolicyNewParams{AccountID: accountID, Precedence: cloudflare.F(int64(1))})
	if status, code := v6Code(err); status != http.StatusBadRequest || code != 12130 {
		t.Errorf("one without rules: %v", err)
	}
	made, err := policies.New(ctx, app.ID, zero_trust.AccessApplicationPolicyNewParams{AccountID: accountID, Precedence: cloudflare.F(int64(3))},
		option.WithJSONSet("name", "devices"), option.WithJSONSet("decision", "non_identity"), option.WithJSONSet("include", []any{map[string]any{"common_name": map[string]any{"common_name": "James Royal"}}}))
	if err != nil || made.Precedence != 3 || made.Decision != zero_trust.DecisionNonIdentity || len(made.Include) != 1 {
		t.Fatalf("made %+v, %v", made, err)
	}
	if rule, ok := made.Include[0].AsUnion().(zero_trust.AccessRuleAccessCommonNameRule); !ok || rule.CommonName.CommonName != "James Royal" {
		t.Errorf("it includes %+v", made.Include[0])
	}
	moved, err := policies.Update(ctx, app.ID, made.ID, zero_trust.AccessApplicationPolicyUpdateParams{AccountID: accountID, Precedence: cloudflare.F(int64(7))})
	if err != nil || moved.Precedence != 7 || moved.Name != "devices" || len(moved.Include) != 1 {
		t.Errorf("moved %+v, %v", moved, err)
	}
	read, err := policies.Get(ctx, app.ID, made.ID, zero_trust.AccessApplicationPolicyGetParams{AccountID: accountID})
	if err != nil || read.ID != made.ID || read.Precedence != 7 {
		t.Errorf("read %+v, %v", read, err)
	}
	listed := 0
	pages := policies.ListAutoPaging(ctx, app.ID, zero_trust.AccessApplicationPolicyListParams{AccountID: accountID})
	for pages.Next() {
		listed++
	}
	if pages.Err() != nil || listed != 1 {
		t.Errorf("listed %d, %v", listed, pages.Err())
	}
	if gone, err := policies.Delete(ctx, app.ID, made.ID, zero_trust.AccessApplicationPolicyDeleteParams{AccountID: accountID}); err != nil || gone.ID != made.ID {
		t.Errorf("deleted %+v, %v", gone, err)
	}
}

// TestV6_ReusablePolicy is Terraform's way with a reusable policy.
func TestV6_ReusablePolicy(t *testing.T) {
	t.Parallel()
	g := newGuard(t)
	ctx, accountID, policies := t.Context(), cloudflare.F(account), v6Client(g.gateway, g.write).ZeroTrust.Access.Policies
	made, err := policies.New(ctx, zero_trust.AccessPolicyNewParams{AccountID: accountID, Name: cloudflare.F("shared"), Decision: cloudflare.F(zero_trust.DecisionAllow), Include: cloudflare.F(anyCertificate)})
	if err != nil || !bool(made.Reusable) || made.CreatedAt.IsZero() {
		t.Fatalf("made %+v, %v", made, err)
	}
	changed, err := policies.Update(ctx, made.ID, zero_trust.AccessPolicyUpdateParams{
		AccountID: accountID, Name: cloudflare.F("shared"), Decision: cloudflare.F(zero_trust.DecisionBypass), Include: cloudflare.F(everyone), SessionDuration: cloudflare.F("2h"),
	})
	if err != nil || changed.Decision != zero_trust.DecisionBypass || changed.SessionDuration != "2h" || len(changed.Include) != 1 {
		t.Errorf("changed %+v, %v", changed, err)
	}
	read, err := policies.Get(ctx, made.ID, zero_trust.AccessPolicyGetParams{AccountID: accountID})
	if err != nil || read.Decision != zero_trust.DecisionBypass || read.AppCount != 0 {
		t.Errorf("read %+v, %v", read, err)
	}
	listed := 0
	pages := policies.ListAutoPaging(ctx, zero_trust.AccessPolicyListParams{AccountID: accountID})
	for pages.Next() {
		listed++
	}
	if pages.Err() != nil || listed != 1 {
		t.Errorf("listed %d, %v", listed, pages.Err())
	}
	_, err = policies.New(ctx, zero_trust.AccessPolicyNewParams{
		AccountID: accountID, Name: cloudflare.F("x"), Decision: cloudflare.F(zero_trust.DecisionAllow), Include: cloudflare.F(anyCertificate),
		Exclude: cloudflare.F([]zero_trust.AccessRuleUnionParam{zero_trust.CountryRuleParam{Geo: cloudflare.F(zero_trust.CountryRuleGeoParam{CountryCode: cloudflare.F("PT")})}}),
	})
	if status, code := v6Code(err); status != http.StatusBadRequest || code != 12130 {
		t.Errorf("an excluded country: %v", err)
	}
	if gone, err := policies.Delete(ctx, made.ID, zero_trust.AccessPolicyDeleteParams{AccountID: accountID}); err != nil || gone.ID != made.ID {
		t.Errorf("deleted %+v, %v", gone, err)
	}
}
