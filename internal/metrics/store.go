package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/certvigil/certvigil/internal/alert"
)

// collectTimeout bounds what a scrape may ask of the store.
const collectTimeout = 10 * time.Second

// Counts is what the store holds at the moment of a scrape.
type Counts struct {
	Deliveries map[alert.DeliveryState]int
	Items      map[alert.Kind]map[alert.Watch]int
	Left       map[alert.Kind][]int // how many items end, by the ranges of Edges
	Channels   []Channel
	CRLs       []CRL
}

// A CRL is a revocation list in force.
type CRL struct {
	Issuer, Key            string
	ThisUpdate, NextUpdate time.Time
	Entries                int
	Failing                bool // it cannot be refreshed
}

// A Channel is one that is configured, or that deliveries wait for.
type Channel struct {
	Name     string
	Waiting  int
	Oldest   time.Duration // age of the oldest delivery that waits; 0 when none does
	LastSent time.Time     // zero = never
}

// Edges are the ends of the ranges of Counts.Left, as time left. The first
// range holds what has ended, the one behind them what ends later than all of
// them, and the last one what was only seen and nobody uses any more.
var Edges = []time.Duration{0, alert.Day, 7 * alert.Day, 14 * alert.Day, 30 * alert.Day, 90 * alert.Day}

// ranges names the ranges.
var ranges = []string{"expired", "1d", "7d", "14d", "30d", "90d", "more", "unused"}

// A storeCollector counts at every scrape what the store holds.
type storeCollector struct {
	collect    func(context.Context) (Counts, error)
	deliveries *prometheus.Desc
	items      *prometheus.Desc
	left       *prometheus.Desc
	channels   channelDescs
	crls       crlDescs
}

type crlDescs struct{ thisUpdate, nextUpdate, entries, failing *prometheus.Desc }

type channelDescs struct{ waiting, oldest, lastSent *prometheus.Desc }

func newStoreCollector(collect func(context.Context) (Counts, error)) *storeCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	return &storeCollector{
		collect:    collect,
		deliveries: desc("deliveries", "Deliveries in the store, by state.", "state"),
		items:      desc("items", "Items in the store, by kind and watch.", "kind", "watch"),
		left:       desc("items_left", "Items that are watched, by the time until they end: at most so many days, and more than the range before.", "kind", "left"),
		channels: channelDescs{
			waiting:  desc("delivery_waiting", "Deliveries that are not settled, by channel.", "channel"),
			oldest:   desc("delivery_oldest_waiting_seconds", "Age of a channel's oldest delivery that is not settled, 0 when there is none.", "channel"),
			lastSent: desc("delivery_last_success_timestamp_seconds", "When a channel last accepted a message, 0 if never.", "channel"),
		},
		crls: crlDescs{
			thisUpdate: desc("crl_this_update_timestamp_seconds", "When a revocation list was issued.", "issuer", "key"),
			nextUpdate: desc("crl_next_update_timestamp_seconds", "When a revocation list ends.", "issuer", "key"),
			entries:    desc("crl_entries", "How many certificates a revocation list revokes.", "issuer", "key"),
			failing:    desc("crl_refresh_failing", "1 while a revocation list cannot be refreshed from its source.", "issuer", "key"),
		},
	}
}

// Describe implements prometheus.Collector.
func (c *storeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.deliveries, c.items, c.left, c.channels.waiting, c.channels.oldest, c.channels.lastSent, c.crls.thisUpdate, c.crls.nextUpdate, c.crls.entries, c.crls.failing} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. When the store does not answer,
// these metrics are missing from the scrape and the others are not.
func (c *storeCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	counts, err := c.collect(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.deliveries, err)
		return
	}
	for state, n := range counts.Deliveries {
		ch <- gauge(c.deliveries, float64(n), string(state))
	}
	for kind, watches := range counts.Items {
		for watch, n := range watches {
			ch <- gauge(c.items, float64(n), string(kind), string(watch))
		}
	}
	for kind, numbers := range counts.Left {
		for i, n := range numbers {
			ch <- gauge(c.left, float64(n), string(kind), ranges[i])
		}
	}
	for _, channel := range counts.Channels {
		c.channels.send(ch, channel)
	}
	for _, l := range counts.CRLs {
		c.crls.send(ch, l)
	}
}

func (d *channelDescs) send(ch chan<- prometheus.Metric, c Channel) {
	last := 0.0
	if !c.LastSent.IsZero() {
		last = float64(c.LastSent.UnixMilli()) / 1000
	}
	ch <- gauge(d.waiting, float64(c.Waiting), c.Name)
	ch <- gauge(d.oldest, c.Oldest.Seconds(), c.Name)
	ch <- gauge(d.lastSent, last, c.Name)
}

func (d *crlDescs) send(ch chan<- prometheus.Metric, l CRL) {
	key := shortKey(l.Key)
	ch <- gauge(d.thisUpdate, float64(l.ThisUpdate.Unix()), l.Issuer, key)
	ch <- gauge(d.nextUpdate, float64(l.NextUpdate.Unix()), l.Issuer, key)
	ch <- gauge(d.entries, float64(l.Entries), l.Issuer, key)
	ch <- gauge(d.failing, boolean(l.Failing), l.Issuer, key)
}

func gauge(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}
