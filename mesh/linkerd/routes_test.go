package linkerd

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

// permits answers as Linkerd's proxy would who may send a request to a port. It
// follows linkerd2-proxy linkerd/http/route: the longest path wins, then a match
// with a method. Where two matches are equal age decides, which nobody can know
// beforehand: then it fails unless both answer alike.
func permits(t *testing.T, objects []model.Object, port, method, path string) []string {
	t.Helper()
	server := serversByPort(objects)[port]
	require.NotEmpty(t, server.Tree, port)
	onServer := permitted(objects, "Server", server.Ref().Name)
	attached := false
	best, answers := -1, [][]string{}
	for _, o := range objects {
		if o.Ref().Kind != "HTTPRoute" || asList(o.Map("spec")["parentRefs"])[0].(map[string]any)["name"] != server.Ref().Name {
			continue
		}
		attached = true
		rank := routeRank(o, method, path)
		if rank < 0 || rank < best {
			continue
		}
		if rank > best {
			best, answers = rank, nil
		}
		answers = append(answers, sorted(slices.Concat(onServer, permitted(objects, "HTTPRoute", o.Ref().Name))))
	}
	if !attached {
		return onServer
	}
	if best < 0 {
		return nil // 404
	}
	for _, answer := range answers {
		require.Equal(t, answers[0], answer, "%s %s: the answer hangs on the age of the routes", method, path)
	}
	return answers[0]
}

// routeRank is how well a route matches: twice the length of the path, and one for a method; -1 where it does not.
func routeRank(o model.Object, method, path string) int {
	best := -1
	for _, rule := range asList(o.Map("spec")["rules"]) {
		for _, item := range asList(rule.(map[string]any)["matches"]) {
			match := item.(map[string]any)
			wanted, _ := match["method"].(string)
			length := matchLength(match["path"].(map[string]any), path)
			if length < 0 || wanted != "" && wanted != method {
				continue
			}
			rank := 2 * length
			if wanted != "" {
				rank++
			}
			best = max(best, rank)
		}
	}
	return best
}

func matchLength(match map[string]any, path string) int {
	value := match["value"].(string)
	switch match["type"] {
	case "Exact":
		if path == value {
			return len(path)
		}
	case "RegularExpression":
		// The first match has to be the whole path: no other is tried (path.rs).
		if at := regexp.MustCompile(value).FindStringIndex(path); at != nil && at[0] == 0 && at[1] == len(path) {
			return len(path)
		}
	case "PathPrefix":
		if value == "/" {
			return 1
		}
		prefix := strings.TrimRight(value, "/")
		rest, found := strings.CutPrefix(strings.TrimRight(path, "/"), prefix)
		if found && (rest == "" || rest[0] == '/') {
			return len(prefix)
		}
	}
	return -1
}

// TestRoutesPermitExactlyWhatTheRulesSay compares what the written routes would
// do with the rules themselves, over many small sets of overlapping rules.
func TestRoutesPermitExactlyWhatTheRulesSay(t *testing.T) {
	paths := []string{"/*", "/", "/a", "/a*", "/a/*", "/a/b", "/a/b*", "/a.c", "/ab/*", "/a-[b]*"}
	requests := []string{"/", "/a", "/a/", "/a/b", "/a/b/c", "/abc", "/ab/c", "/a.c", "/axc", "/a-[b]c", "/z"}
	methods := [][]string{nil, {"GET"}, {"POST"}, {"GET", "POST"}}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a fixed seed makes the test repeatable
	for range 400 {
		d, m := parseFixture(t, shop+`
workloads:
- {name: shop/api, spec: {containers: [{name: api, ports: [{containerPort: 8080, protocol: TCP}]}]}}
- {name: shop/c0, spec: {containers: [{name: c}]}}
- {name: shop/c1, spec: {containers: [{name: c}]}}
- {name: shop/c2, spec: {containers: [{name: c}]}}
`)
		for client := range 3 {
			f := fixtureFlow{Rule: "shop/r", From: []string{"shop/c" + string(rune('0'+client))}, To: []string{"shop/api"}, Ports: []string{"8080"}}
			for range 1 + random.IntN(2) {
				f.HTTP = append(f.HTTP, model.HTTPMatch{Methods: methods[random.IntN(len(methods))], Paths: []string{paths[random.IntN(len(paths))]}})
			}
			if client == 2 && random.IntN(3) == 0 {
				f.HTTP = nil // a client without limits
			}
			m.Flows = append(m.Flows, f.model(t))
		}
		objects, problems := d.Compile(m)
		require.Empty(t, problems)
		for _, path := range requests {
			for _, method := range []string{"GET", "POST", "PUT"} {
				require.Equal(t, ruled(m, method, path), permits(t, objects, "api:8080", method, path), "%s %s under %+v", method, path, m.Flows)
			}
		}
	}
}

// ruled is who may send a request by the rules.
func ruled(m *model.Model, method, path string) []string {
	var who []string
	for i := range m.Flows {
		f := &m.Flows[i]
		matches := func(h model.HTTPMatch) bool {
			return (len(h.Methods) == 0 || slices.Contains(h.Methods, method)) &&
				slices.ContainsFunc(h.Paths, func(p string) bool {
					prefix, isPrefix := strings.CutSuffix(p, "*")
					return p == path || isPrefix && strings.HasPrefix(path, prefix)
				})
		}
		if len(f.HTTP) == 0 || slices.ContainsFunc(f.HTTP, matches) {
			who = append(who, m.Workload(f.Client.Workloads[0]).Facts.Identity)
		}
	}
	return who
}

func TestAMethodThatRoutesCannotNameStaysClosed(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- {name: shop/api, spec: {containers: [{name: api, ports: [{containerPort: 8080, protocol: TCP}]}]}}
- {name: shop/web, spec: {containers: [{name: web}]}}
flows:
- {rule: shop/dav, from: [shop/web], to: [shop/api], ports: ["8080"], http: [{methods: [GET, PROPFIND], paths: [/files]}]}
`)
	objects, problems := d.Compile(m)
	require.Equal(t, []string{"MethodNotExpressible"}, codes(problems))
	require.NotEmpty(t, permits(t, objects, "api:8080", "GET", "/files"))
	require.Empty(t, permits(t, objects, "api:8080", "PROPFIND", "/files"))
}

func TestAPathThatTakesTooLongAnExpressionStaysClosed(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- {name: shop/api, spec: {containers: [{name: api, ports: [{containerPort: 8080, protocol: TCP}]}]}}
- {name: shop/web, spec: {containers: [{name: web}]}}
- {name: shop/ops, spec: {containers: [{name: ops}]}}
flows:
- {rule: shop/a, from: [shop/web], to: [shop/api], ports: ["8080"], http: [{paths: ["/v1/*"]}]}
- {rule: shop/b, from: [shop/ops], to: [shop/api], ports: ["8080"], http: [{paths: ["/v1/`+strings.Repeat("long/", 60)+`"]}]}
`)
	objects, problems := d.Compile(m)
	require.Equal(t, []string{"PathNotExpressible"}, codes(problems))
	require.Empty(t, permits(t, objects, "api:8080", "GET", "/v1/x"))
	require.Len(t, permits(t, objects, "api:8080", "GET", "/v1/"+strings.Repeat("long/", 60)), 2)
}
