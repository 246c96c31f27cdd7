package api

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onedoor/onedoor/server/fault"
)

// Metrics counts and times RPCs. Labels are bounded: methods of the table, codes and
// reasons; never a task, user or resource.
type Metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	running  prometheus.Gauge
	limited  *prometheus.CounterVec
	known    map[string]bool
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onedoor_rpcs_total", Help: "RPCs by method, gRPC code and reason.",
		}, []string{"method", "code", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "onedoor_rpc_duration_seconds", Help: "Time from the RPC's arrival to its end.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{Name: "onedoor_rpcs_running", Help: "RPCs running now."}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onedoor_limited_total", Help: "Calls refused by a limit: of a task, user, workspace, connector, workload, peer, of the broker or its memory.",
		}, []string{"limit"}),
		known: map[string]bool{},
	}
	for method := range table() {
		m.known[method] = true
	}
	for _, c := range []prometheus.Collector{m.calls, m.duration, m.running, m.limited} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) begin(method string) func(code, reason string) {
	if !m.known[method] {
		method = "unknown"
	}
	began := time.Now()
	m.running.Inc()
	return func(code, reason string) {
		m.running.Dec()
		m.calls.WithLabelValues(method, code, reason).Inc()
		m.duration.WithLabelValues(method).Observe(time.Since(began).Seconds())
	}
}

// refused counts what a limit refused. Whose limits there are is fixed; see limit.Scope.
func (m *Metrics) refused(err error) {
	var f *fault.Error
	if errors.As(err, &f) && (f.Reason == fault.RateLimited || f.Reason == fault.AnswerDropped) {
		m.limited.WithLabelValues(f.Metadata["limit"]).Inc()
	}
}
