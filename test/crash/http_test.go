package crash_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"time"
)

type connectedKey struct{}

// serveHTTP answers posts as the mood says. read tells what a message says.
func (r *receiver) serveHTTP(read func(http.Header, []byte) receipt) func() {
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connectedKey{}, time.Now())
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			begun, mood := time.Now(), r.mood()
			if mood == hangUpNow {
				panic(http.ErrAbortHandler)
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				return // the daemon was killed while it wrote
			}
			got := read(req.Header, body)
			got.channel, got.recipient, got.begun = r.channel, r.channel, begun
			got.connected = req.Context().Value(connectedKey{}).(time.Time)
			got.accepted = mood == take || mood == takeLate || mood == takeMute
			r.ledger.add(got)
			r.reply(w, mood)
		}),
	}
	go func() { _ = server.Serve(r.ln) }()
	return func() { _ = server.Close() }
}

func (r *receiver) reply(w http.ResponseWriter, m mood) {
	switch m {
	case takeLate:
		time.Sleep(r.pause())
	case takeMute, hangUp:
		panic(http.ErrAbortHandler)
	case busy:
		w.WriteHeader(http.StatusServiceUnavailable)
	case limited:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case refuse:
		w.WriteHeader(http.StatusBadRequest)
	case forbid:
		w.WriteHeader(http.StatusForbidden)
	}
	_, _ = io.WriteString(w, "ok")
}

// readStandard reads a message of Standard Webhooks.
func readStandard(header http.Header, body []byte) receipt {
	var m struct {
		Data struct {
			Alerts []struct {
				ID   string `json:"id"`
				Item struct {
					CommonName string `json:"common_name"`
				} `json:"item"`
			} `json:"alerts"`
		} `json:"data"`
	}
	r := receipt{id: header.Get("Webhook-Id")}
	if err := json.Unmarshal(body, &m); err != nil {
		r.id = fmt.Sprintf("no JSON: %v", err)
	}
	for _, a := range m.Data.Alerts {
		r.alerts = append(r.alerts, a.ID)
		if a.Item.CommonName != "" {
			r.names = append(r.names, a.Item.CommonName)
		}
	}
	return r
}

var (
	slackDelivery = regexp.MustCompile("delivery `([0-9a-f]{32})`")
	commonName    = regexp.MustCompile(`crash-[0-9]{4}`)
)

// readSlack reads a message to an incoming webhook.
func readSlack(_ http.Header, body []byte) receipt {
	r := receipt{id: "none", names: commonName.FindAllString(string(body), -1)}
	if found := slackDelivery.FindSubmatch(body); found != nil {
		r.id = string(found[1])
	}
	return r
}
