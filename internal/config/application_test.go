package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certvigil/certvigil/internal/config"
)

func TestLoad_WhatTheOriginIsTold(t *testing.T) {
	t.Parallel()
	const base = `
[enforcer]
listen = ""
[[application]]
name = "orders"
hostname = "orders.example.com"
origin = "http://127.0.0.1:9000"
`
	for _, tt := range []struct {
		name, text string
		want       config.Application
	}{
		{"by default", "", config.Application{Forwarding: "off"}},
		{"the default, in writing", `client_certificate_forwarding = "off"`, config.Application{Forwarding: "off", ForwardingGiven: true}},
		{
			"all of it", `
rfc9440 = true
tls_client_auth_headers = true
options_preflight_bypass = true
request_headers = { "X-CERT-SERIAL" = "{serial}", X-Gateway = "{{${HOST}}} {cn}" }
`,
			config.Application{
				Forwarding: "off", RFC9440: true, TLSClientAuthHeaders: true, OptionsPreflightBypass: true,
				RequestHeaders: map[string]string{"X-CERT-SERIAL": "{serial}", "X-Gateway": "{{orders.example.com}} {cn}"},
			},
		},
		{
			"as a table", "[application.request_headers]\nX-Cert-CN = \"{cn}\"\n",
			config.Application{Forwarding: "off", RequestHeaders: map[string]string{"X-Cert-CN": "{cn}"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := load(t, base+tt.text).Applications[0]
			got := config.Application{
				Forwarding: a.Forwarding, ForwardingGiven: a.ForwardingGiven, RFC9440: a.RFC9440, TLSClientAuthHeaders: a.TLSClientAuthHeaders,
				RequestHeaders: a.RequestHeaders, OptionsPreflightBypass: a.OptionsPreflightBypass,
			}
			if diff := cmp.Diff(tt.want, got, durations); diff != "" {
				t.Errorf("application (-want +got):\n%s", diff)
			}
		})
	}
}
