package admission

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/engine"
)

func TestOptionsThatCannotHoldAreRefused(t *testing.T) {
	snapshot := func() (*engine.Snapshot, bool) { return nil, false }
	for name, c := range map[string]struct {
		options Options
		says    string
	}{
		"no namespace":            {Options{Snapshot: snapshot}, "needs a namespace"},
		"no snapshots":            {Options{Namespace: "n"}, "source of snapshots"},
		"renewed all the time":    {Options{Namespace: "n", Snapshot: snapshot, Lifetime: time.Hour, RenewBefore: time.Hour}, "each must be longer"},
		"trusted after it serves": {Options{Namespace: "n", Snapshot: snapshot, Lifetime: time.Hour, Propagation: 30 * time.Minute}, "each must be longer"},
		"defaults":                {Options{Namespace: "n", Snapshot: snapshot}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.options.complete()
			if c.says == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, c.says)
			}
		})
	}
}

func TestAReplicaIsReadyWhileItServesAValidCertificate(t *testing.T) {
	now := noon
	s := &served{now: func() time.Time { return now }}
	f := &follower{served: s}
	metrics := prometheus.NewRegistry()
	require.NoError(t, metrics.Register(s.metric()))
	assert.Error(t, s.ready())
	_, err := s.certificate(nil)
	assert.Error(t, err)
	gathered, err := metrics.Gather()
	require.NoError(t, err)
	assert.Empty(t, gathered, "no certificate is not one that expired long ago")

	p, _, err := quickPair(testNames, noon, time.Hour)
	require.NoError(t, err)
	f.take(&corev1.Secret{Data: map[string][]byte{servingCertKey: p.cert, servingKeyKey: p.key}})
	require.NoError(t, s.ready())
	gathered, err = metrics.Gather()
	require.NoError(t, err)
	require.Len(t, gathered, 1)
	assert.Equal(t, "palisade_webhook_certificate_not_after_timestamp_seconds", gathered[0].GetName())
	assert.InDelta(t, noon.Add(time.Hour).Unix(), gathered[0].GetMetric()[0].GetGauge().GetValue(), 0)

	for _, lost := range []map[string][]byte{nil, {servingCertKey: []byte("x"), servingKeyKey: p.key}, {nextCertKey: p.cert, nextKeyKey: p.key}} {
		f.take(&corev1.Secret{Data: lost})
		assert.True(t, p.same(s.current.Load()), "what is lost or spoilt leaves the certificate that is known")
	}
	now = noon.Add(time.Hour)
	assert.ErrorContains(t, s.ready(), "expired at 2026-11-23T13:00:00Z")
}
