package fetch_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/certvigil/certvigil/internal/fetch"
)

func TestGet_MaxAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const date, later = "Sun, 01 Mar 2026 11:00:00 GMT", "Sun, 01 Mar 2026 14:00:00 GMT"
	tests := []struct {
		name   string
		header http.Header
		want   time.Duration
	}{
		{"nothing said", http.Header{}, 0},
		{"max-age", http.Header{"Cache-Control": {"public, Max-Age=60"}}, time.Minute},
		{"max-age, quoted", http.Header{"Cache-Control": {`max-age="60"`}}, time.Minute},
		{"max-age before Expires", http.Header{"Cache-Control": {"max-age=60"}, "Expires": {later}}, time.Minute},
		{"less its age", http.Header{"Cache-Control": {"max-age=60"}, "Age": {"20"}}, 40 * time.Second},
		{"older than its max-age", http.Header{"Cache-Control": {"max-age=60"}, "Age": {"80"}}, 0},
		{"no-cache", http.Header{"Cache-Control": {"max-age=60", "no-cache"}, "Expires": {later}}, 0},
		{"Expires and Date", http.Header{"Expires": {later}, "Date": {date}}, 3 * time.Hour},
		{"Expires alone", http.Header{"Expires": {later}, "Date": nil}, 2 * time.Hour},
		{"expired", http.Header{"Expires": {date}, "Date": {later}}, 0},
		{"Expires as a number", http.Header{"Expires": {"0"}}, 0},
		{"forever", http.Header{"Cache-Control": {"max-age=9223372036854775807"}}, 365 * 24 * time.Hour},
		{"beyond numbers", http.Header{"Cache-Control": {"max-age=99999999999999999999"}}, 0},
		{"negative", http.Header{"Cache-Control": {"max-age=-1"}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, values := range tt.header {
					w.Header()[name] = values
				}
			})
			got, err := fetch.New(fetch.Options{Timeout: patience, Now: func() time.Time { return now }}).Get(t.Context(), fetch.Request{URL: server.URL})
			if err != nil || got.MaxAge != tt.want {
				t.Errorf("MaxAge = %s, %v, want %s", got.MaxAge, err, tt.want)
			}
		})
	}
}

func TestGet_LongValidatorIsNotKept(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("ETag", strings.Repeat("e", 2000)) })
	got, err := fetch.New(fetch.Options{Timeout: patience}).Get(t.Context(), fetch.Request{URL: server.URL})
	if err != nil || got.ETag != "" {
		t.Errorf("an ETag of %d bytes: %v", len(got.ETag), err)
	}
}
