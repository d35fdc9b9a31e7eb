package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collectTimeout bounds what a scrape may ask of the store.
const collectTimeout = 10 * time.Second

// A storeCollector counts at every scrape what the store holds.
type storeCollector struct {
	collect    func(context.Context) (Counts, error)
	deliveries *prometheus.Desc
	items      *prometheus.Desc
}

func newStoreCollector(collect func(context.Context) (Counts, error)) *storeCollector {
	return &storeCollector{
		collect:    collect,
		deliveries: prometheus.NewDesc(namespace+"_deliveries", "Deliveries in the store, by state.", []string{"state"}, nil),
		items:      prometheus.NewDesc(namespace+"_items", "Items in the store, by kind and watch.", []string{"kind", "watch"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *storeCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.deliveries
	ch <- c.items
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
		ch <- prometheus.MustNewConstMetric(c.deliveries, prometheus.GaugeValue, float64(n), string(state))
	}
	for kind, watches := range counts.Items {
		for watch, n := range watches {
			ch <- prometheus.MustNewConstMetric(c.items, prometheus.GaugeValue, float64(n), string(kind), string(watch))
		}
	}
}
