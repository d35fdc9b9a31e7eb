package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A listener holds the instruments of the enforcement listener's inner life.
type listener struct {
	verifyTime    prometheus.Histogram
	verdicts      *prometheus.CounterVec
	remembered    prometheus.Counter
	taken         prometheus.Counter
	originTime    *prometheus.HistogramVec
	connections   prometheus.Gauge
	accessDropped prometheus.Counter
	accessFailing prometheus.Gauge
}

func (m *Metrics) registerListener() {
	l := &m.listener
	l.verifyTime = m.histogram("verification_seconds", "How long verifying a client's chain took, where the verdict was not remembered.",
		prometheus.ExponentialBuckets(0.00001, 3, 10))
	l.verdicts = m.counters("verdicts_total", "Verdicts on clients' chains: remembered (cache hit) or taken (cache miss).", "source")
	l.remembered, l.taken = l.verdicts.WithLabelValues("remembered"), l.verdicts.WithLabelValues("taken")
	l.originTime = m.histograms("origin_response_seconds", "Until the head of the origin's answer.", prometheus.ExponentialBuckets(0.001, 3, 11), "application")
	l.connections = m.gauge("connections", "Open connections on the enforcement listener, after the handshake.")
	l.accessDropped = m.counter("access_log_dropped_total", "Lines of the access log that were lost.")
	l.accessFailing = m.gauge("access_log_failing", "1 while the access log cannot be written.")
}

// Verified records that a verdict was remembered, or taken within a time.
func (m *Metrics) Verified(took time.Duration, remembered bool) {
	if remembered {
		m.listener.remembered.Inc()
		return
	}
	m.listener.taken.Inc()
	m.listener.verifyTime.Observe(took.Seconds())
}

// Origin records how long an origin took to begin its answer.
func (m *Metrics) Origin(application string, took time.Duration) {
	m.listener.originTime.WithLabelValues(application).Observe(took.Seconds())
}

// Connections records connections that were opened or closed.
func (m *Metrics) Connections(delta int) { m.listener.connections.Add(float64(delta)) }

// AccessLogDropped records lines of the access log that were lost.
func (m *Metrics) AccessLogDropped(lines int) { m.listener.accessDropped.Add(float64(lines)) }

// AccessLogFailing records whether the access log can be written.
func (m *Metrics) AccessLogFailing(failing bool) { m.listener.accessFailing.Set(boolean(failing)) }

// CRLRefreshFailed records that the source of a list was of no use.
func (m *Metrics) CRLRefreshFailed(issuer, key string) {
	m.crlFailed.WithLabelValues(issuer, shortKey(key)).Inc()
}

// shortKey keeps apart the lists of CAs of the same name.
func shortKey(key string) string {
	const digits = 12
	return key[:min(digits, len(key))]
}
