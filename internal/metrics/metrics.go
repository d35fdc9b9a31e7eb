// Package metrics is the Prometheus registry of the daemon. Its labels are
// bounded: names come from the configuration, states and reasons from fixed
// sets; nothing from the wire becomes a label. The subsystems do not import
// it: it offers plain functions that fit their hooks.
package metrics

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/certvigil/certvigil/internal/alert"
)

// Options are what the registry needs.
type Options struct {
	Version string
	// Collect counts what the store holds; it is called at every scrape.
	Collect func(context.Context) (Counts, error)
}

// A Metrics holds the instruments. Its methods may be called concurrently.
type Metrics struct {
	registry         *prometheus.Registry
	lastScan         prometheus.Gauge
	scanTime         prometheus.Histogram
	scanFailed       *prometheus.CounterVec
	attempts         *prometheus.CounterVec
	sendTime         *prometheus.HistogramVec
	sendDelay        *prometheus.HistogramVec
	failing          *prometheus.GaugeVec
	requests         *prometheus.CounterVec
	handshakes       *prometheus.CounterVec
	handshakesFailed *prometheus.CounterVec
	cutOff           *prometheus.CounterVec
	generation       prometheus.Gauge
	applied          prometheus.Gauge
	reloaded         prometheus.Gauge
	files            prometheus.Gauge
	listener         listener
	crlFailed        *prometheus.CounterVec
	sightingsLost    prometheus.Counter
}

// New returns a registry of its own, with the Go runtime's and the process's
// metrics beside ours.
func New(o Options) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.lastScan = m.gauge("scan_last_success_timestamp_seconds", "When the inventory was last scanned with success.")
	m.scanTime = m.histogram("scan_duration_seconds", "How long scans took.", prometheus.ExponentialBuckets(0.001, 4, 9))
	m.scanFailed = m.counters("scan_failures_total", "Scans that failed or were held by a wrong clock (error), or panicked (panic).", "reason")
	m.attempts = m.counters("delivery_attempts_total", "Attempts to send, by what came of them.", "channel", "outcome")
	m.sendTime = m.histograms("delivery_send_seconds", "How long attempts to send took.", prometheus.ExponentialBuckets(0.01, 3, 9), "channel")
	m.sendDelay = m.histograms("delivery_delay_seconds", "From a delivery's creation to its acceptance.", prometheus.ExponentialBuckets(0.1, 6, 9), "channel")
	m.failing = m.gauges("channel_failing", "1 while a channel as a whole fails.", "channel")
	m.requests = m.counters("requests_total", "Requests on the enforcement listener, by verdict and reason.", "application", "verdict", "reason")
	m.handshakes = m.counters("handshakes_total", "TLS handshakes on the enforcement listener.", "result")
	m.handshakesFailed = m.counters("handshake_failures_total", "TLS handshakes that failed, by the class of the failure.", "class")
	m.cutOff = m.counters("requests_cut_off_total", "Requests in flight that lost their admission.", "application", "reason")
	m.generation = m.gauge("trust_generation", "The generation of trust that is in force.")
	m.applied = m.gauge("trust_apply_success", "1 while all that the store says of trust is in force, 0 while the last good state is.")
	m.crlFailed = m.counters("crl_refresh_failures_total", "Looks at the source of a revocation list that failed.", "issuer", "key")
	m.sightingsLost = m.counter("sightings_lost_total", "Sightings of client certificates that were given up because the store did not take them in time.")
	m.registerListener()
	m.reloaded = m.gauge("config_reload_success", "1 when the last reading of the configuration was applied.")
	m.reloaded.Set(1)
	m.files = m.gauge("files_reload_success", "1 while the certificates, keys and pages in force are those in their files, 0 when changed files are of no use.")
	m.files.Set(1)
	m.gauges("build_info", "The version that runs.", "version", "go").WithLabelValues(o.Version, runtime.Version()).Set(1)
	if o.Collect != nil {
		m.registry.MustRegister(newStoreCollector(o.Collect))
	}
	return m
}

// Handler serves the metrics in the formats of Prometheus and OpenMetrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, Timeout: 20 * time.Second})
}

// Scan records a successful scan.
func (m *Metrics) Scan(at time.Time, took time.Duration) {
	m.LastScan(at)
	m.scanTime.Observe(took.Seconds())
}

// LastScan records when a daemon before this one scanned with success.
func (m *Metrics) LastScan(at time.Time) { m.lastScan.Set(float64(at.UnixMilli()) / 1000) }

// ScanFailed records a scan that failed, was held by a wrong clock, or
// panicked.
func (m *Metrics) ScanFailed(panicked bool) {
	reason := "error"
	if panicked {
		reason = "panic"
	}
	m.scanFailed.WithLabelValues(reason).Inc()
}

// Attempt records one attempt to send.
func (m *Metrics) Attempt(channel string, outcome alert.DeliveryState, took time.Duration) {
	m.attempts.WithLabelValues(channel, string(outcome)).Inc()
	m.sendTime.WithLabelValues(channel).Observe(took.Seconds())
}

// Sent records an accepted delivery.
func (m *Metrics) Sent(channel string, delay time.Duration) {
	m.sendDelay.WithLabelValues(channel).Observe(delay.Seconds())
}

// ChannelFailing records whether a channel as a whole fails.
func (m *Metrics) ChannelFailing(channel string, failing bool) {
	m.failing.WithLabelValues(channel).Set(boolean(failing))
}

// ChannelGone forgets whether a channel fails: there is none of that name any
// more, and an alarm on it would never end.
func (m *Metrics) ChannelGone(channel string) { m.failing.DeleteLabelValues(channel) }

// Request records a verdict. The reason is one of the enforcer's fixed set.
func (m *Metrics) Request(application string, admitted bool, reason string) {
	verdict := "denied"
	if admitted {
		verdict = "admitted"
	}
	m.requests.WithLabelValues(application, verdict, reason).Inc()
}

// Handshake records a TLS handshake; failure is what made it fail, or "".
func (m *Metrics) Handshake(resumed bool, failure string) {
	result := "full"
	switch {
	case failure != "":
		result = "failed"
		m.handshakesFailed.WithLabelValues(failure).Inc()
	case resumed:
		result = "resumed"
	}
	m.handshakes.WithLabelValues(result).Inc()
}

// Forget drops what was counted of an application.
func (m *Metrics) Forget(application string) {
	label := prometheus.Labels{"application": application}
	m.requests.DeletePartialMatch(label)
	m.cutOff.DeletePartialMatch(label)
	m.listener.originTime.DeletePartialMatch(label)
}

// CutOff records a request in flight that lost its admission.
func (m *Metrics) CutOff(application, reason string) {
	m.cutOff.WithLabelValues(application, reason).Inc()
}

// TrustGeneration records what is in force.
func (m *Metrics) TrustGeneration(generation int64) { m.generation.Set(float64(generation)) }

// TrustApplied records whether all that the store says is in force.
func (m *Metrics) TrustApplied(ok bool) { m.applied.Set(boolean(ok)) }

// Reloaded records what came of reading the configuration again.
func (m *Metrics) Reloaded(ok bool) { m.reloaded.Set(boolean(ok)) }

// FilesReloaded records what came of reading files that changed.
func (m *Metrics) FilesReloaded(ok bool) { m.files.Set(boolean(ok)) }

// SightingsLost counts what was seen of client certificates and not recorded.
func (m *Metrics) SightingsLost(n int) { m.sightingsLost.Add(float64(n)) }

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
