package clients_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/cloudflare-go"
	cloudflare6 "github.com/cloudflare/cloudflare-go/v6"
	"github.com/cloudflare/cloudflare-go/v6/zero_trust"
)

func TestV0_Keys(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	c := v0Client(t, g, g.write)
	first, err := c.AccessKeysConfig(t.Context(), account)
	if err != nil || first.KeyRotationIntervalDays != 42 || !first.LastKeyRotationAt.IsZero() {
		t.Errorf("at first: %+v, %v", first, err)
	}
	updated, err := c.UpdateAccessKeysConfig(t.Context(), account, cloudflare.AccessKeysConfigUpdateRequest{KeyRotationIntervalDays: 30})
	if err != nil || updated.KeyRotationIntervalDays != 30 {
		t.Errorf("updated: %+v, %v", updated, err)
	}
	rotated, err := c.RotateAccessKeys(t.Context(), account)
	if err != nil || rotated.DaysUntilNextRotation != 30 || time.Since(rotated.LastKeyRotationAt).Abs() > time.Minute {
		t.Errorf("rotated: %+v, %v", rotated, err)
	}
	read, err := c.AccessKeysConfig(t.Context(), account)
	if err != nil || read != rotated {
		t.Errorf("read: %+v, %v, want %+v", read, err, rotated)
	}
	if _, err := c.UpdateAccessKeysConfig(t.Context(), account, cloudflare.AccessKeysConfigUpdateRequest{KeyRotationIntervalDays: 20}); err == nil || !strings.Contains(err.Error(), "12130") {
		t.Errorf("20 days: %v", err)
	}
}

func TestV6_Keys(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	keys, id := v6Client(g, g.write).ZeroTrust.Access.Keys, cloudflare6.F(account)
	updated, err := keys.Update(t.Context(), zero_trust.AccessKeyUpdateParams{AccountID: id, KeyRotationIntervalDays: cloudflare6.F(30.0)})
	if err != nil || updated.KeyRotationIntervalDays != 30 {
		t.Errorf("updated: %+v, %v", updated, err)
	}
	rotated, err := keys.Rotate(t.Context(), zero_trust.AccessKeyRotateParams{AccountID: id})
	if err != nil || rotated.DaysUntilNextRotation != 30 || time.Since(rotated.LastKeyRotationAt).Abs() > time.Minute {
		t.Errorf("rotated: %+v, %v", rotated, err)
	}
	read, err := keys.Get(t.Context(), zero_trust.AccessKeyGetParams{AccountID: id})
	if err != nil || read.KeyRotationIntervalDays != 30 || !read.LastKeyRotationAt.Equal(rotated.LastKeyRotationAt) {
		t.Errorf("read: %+v, %v", read, err)
	}
	_, err = keys.Update(t.Context(), zero_trust.AccessKeyUpdateParams{AccountID: id, KeyRotationIntervalDays: cloudflare6.F(20.0)})
	if status, code := v6Code(err); status != 400 || code != 12130 {
		t.Errorf("20 days: %v", err)
	}
}
