package istio

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"floe.dev/palisade/model"
	judging "floe.dev/palisade/verdict"
)

// FuzzReader reads objects of whatever form, beside whatever annotation and label of
// Services and pods. It asks one connection at a time and all at once, and both answer alike.
func FuzzReader(f *testing.F) {
	for seed := range uint64(12) {
		w := newForeignWorld(seed)
		trees := []map[string]any{}
		for _, o := range w.trees() {
			trees = append(trees, o.Tree)
		}
		data, err := json.Marshal(trees)
		require.NoError(f, err)
		f.Add(data, seed, "8080", "wp")
	}
	for _, data := range []string{
		`[{"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"p","namespace":"north"},"spec":{"action":"DENY","rules":[{"from":[{"source":{"ipBlocks":["10.0.0.0/99"]}}],"when":[{"key":"request.headers[","values":[""]}]}]}}]`,
		`[{"apiVersion":"networking.istio.io/v1","kind":"Sidecar","metadata":{"name":"s","namespace":"north"},"spec":{"egress":[{"hosts":["/","~/","a"]}],"ingress":[{"port":{"number":8080}}]}}, null]`,
		`[{"apiVersion":"networking.istio.io/v1","kind":"DestinationRule","metadata":5,"spec":{"host":"","trafficPolicy":{"portLevelSettings":[null,{"port":{}}]}}}]`,
		`[{"apiVersion":"security.istio.io/v1beta1","kind":"PeerAuthentication","metadata":{"name":"default","namespace":"istio-system"},"spec":{"selector":{},"mtls":null,"portLevelMtls":{"8080":null}}}]`,
		`[{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":{"name":"wp","namespace":"north"},"spec":{"gatewayClassName":"istio-waypoint","listeners":[{"allowedRoutes":{"namespaces":{"from":"Selector","selector":{"matchExpressions":[{"operator":"In"}]}}}}]}}]`,
	} {
		f.Add([]byte(data), uint64(3), "holdApplicationUntilProxyStarts: {", "")
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, annotation, label string) {
		var trees []map[string]any
		if utiljson.Unmarshal(data, &trees) != nil {
			return
		}
		objects := make([]model.Object, len(trees))
		for i := range trees {
			objects[i].Tree = trees[i]
		}
		w := newForeignWorld(seed % 64)
		w.disturb(annotation, label)
		r, again := NewReader(w.m, objects), NewReader(w.m, objects)
		require.Equal(t, r.Problems(), again.Problems())
		for i := range w.m.Workloads {
			require.Equal(t, r.Filters(&w.m.Workloads[i]), again.Filters(&w.m.Workloads[i]))
		}
		Implied(w.m, objects)
		w.input.Mesh = r
		w.agree(t)
	})
}

// disturb puts texts of no sense where the reader looks for some.
func (w *foreignWorld) disturb(annotation, label string) {
	for i := range w.m.Services {
		if s := &w.m.Services[i]; i%2 == 0 {
			s.Annotations[exportAnnotation] = annotation
			s.Labels[useWaypointLabel] = label
		}
	}
	d := New(w.m.Cluster.Mesh, w.m.Cluster.Domain)
	for i := range w.m.Workloads {
		p := &w.m.Workloads[i]
		if i%2 == 1 {
			for _, key := range []string{excludeInboundAnnotation, "traffic.sidecar.istio.io/excludeOutboundPorts", proxyConfigAnnotation, useWaypointLabel} {
				p.Annotations[key] = annotation
			}
			for _, key := range []string{tlsModeLabel, tunnelLabel, waypointForLabel, useWaypointLabel} {
				p.Labels[key] = label
			}
		}
		p.Facts = d.Facts(p)
	}
}

// agree asks for every pair twice: Explain and NewMap.
func (w *foreignWorld) agree(t *testing.T) {
	t.Helper()
	table := newVerdicts(judging.NewMap(w.input))
	for i := range w.m.Workloads {
		for j := range w.m.Workloads {
			if i == j {
				continue
			}
			from, to, port := judging.End{Workload: &w.m.Workloads[i]}, judging.End{Workload: &w.m.Workloads[j]}, model.TCP(worldPorts[(i+j)%len(worldPorts)])
			e := judging.Explain(w.input, judging.Question{From: from, To: to, Port: port})
			if got, want := table.find(from, to, port), newOutcome(e.Decision, e.Protection); got != want {
				t.Fatalf("%s → %s %s: the map says %v, and alone it is %v\n%+v\n%s", endName(from), endName(to), port, got, want, e.Answers, w)
			}
		}
	}
}
