package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A rule and a Deployment with its Service, of the size that people write.
const (
	benchRule = `apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata:
  name: rule-%[1]d
  namespace: shop
spec:
  to:
    matchLabels:
      app: cart-%[1]d
  from:
  - pods:
      namespace: web
      podSelector:
        matchLabels:
          app: frontend
  - pods:
      podSelector:
        matchLabels:
          app: checkout
  ports:
  - port: 8080
    protocol: TCP
`
	benchWorkload = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart-%[1]d
  namespace: shop
  labels:
    app: cart-%[1]d
spec:
  replicas: 2
  selector:
    matchLabels:
      app: cart-%[1]d
  template:
    metadata:
      labels:
        app: cart-%[1]d
        version: v1
    spec:
      serviceAccountName: cart
      containers:
      - name: server
        image: registry.example/cart:v1
        ports:
        - containerPort: 8080
          name: http
        readinessProbe:
          httpGet:
            path: /ready
            port: 8080
        resources:
          requests:
            cpu: 100m
            memory: 64Mi
---
apiVersion: v1
kind: Service
metadata:
  name: cart-%[1]d
  namespace: shop
spec:
  selector:
    app: cart-%[1]d
  ports:
  - name: http
    port: 80
    targetPort: 8080
`
)

func benchmarkRead(b *testing.B, manifest string) {
	const count = 1000
	var all strings.Builder
	for i := range count {
		fmt.Fprintf(&all, "---\n"+manifest, i)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, err := Read([]string{"-"}, strings.NewReader(all.String()), Options{})
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*count), "µs/manifest")
}

func BenchmarkReadRules(b *testing.B)     { benchmarkRead(b, benchRule) }
func BenchmarkReadWorkloads(b *testing.B) { benchmarkRead(b, benchWorkload) }
