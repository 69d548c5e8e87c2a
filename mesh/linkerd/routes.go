package linkerd

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// permission is who may send some requests, and because of which rules.
type permission struct {
	clients clientSet
	origins []model.Origin
}

// with joins two permissions. One to nobody adds nothing, not even its origin.
func (p permission) with(other permission) permission {
	if other.clients.empty() {
		return p
	}
	return permission{clients: p.clients.with(other.clients), origins: slices.Concat(p.origins, other.origins)}
}

// cell is a part of the paths of one Server on which, method by method, the same
// clients are permitted. The empty method stands for all that are not listed.
type cell struct {
	pattern pattern
	methods map[string]permission
}

// cellsOf divides the paths that grants name. A cell holds what all patterns
// around it permit, too, so that the most specific cell alone can answer.
func cellsOf(grants []grant) []cell {
	rules := map[pattern]map[string]permission{}
	for _, g := range grants {
		for _, h := range g.http {
			addRequests(rules, g, h)
		}
	}
	patterns := slices.SortedFunc(maps.Keys(rules), comparePatterns)
	var cells []cell
	for _, p := range patterns {
		around := slices.DeleteFunc(slices.Clone(patterns), func(q pattern) bool { return !q.covers(p) })
		next := cell{pattern: p, methods: permissionsOf(rules, around)}
		if !redundant(cells, next) {
			cells = append(cells, next)
		}
	}
	return cells
}

func addRequests(rules map[pattern]map[string]permission, g grant, h model.HTTPMatch) {
	patterns := []pattern{everyPath}
	if len(h.Paths) > 0 {
		patterns = nil
		for _, path := range h.Paths {
			if g.exact {
				patterns = append(patterns, pattern{text: path})
			} else {
				patterns = append(patterns, parsePattern(path))
			}
		}
	}
	methods := h.Methods
	if len(methods) == 0 {
		methods = []string{""}
	}
	for _, p := range patterns {
		if rules[p] == nil {
			rules[p] = map[string]permission{}
		}
		for _, method := range methods {
			rules[p][method] = rules[p][method].with(permission{clients: g.clients, origins: []model.Origin{g.origin}})
		}
	}
}

// permissionsOf joins what some patterns permit. Who may use any method may use each that is listed.
func permissionsOf(rules map[pattern]map[string]permission, around []pattern) map[string]permission {
	joined := map[string]permission{}
	for _, q := range around {
		for method := range rules[q] {
			joined[method] = permission{}
		}
	}
	for method := range joined {
		for _, q := range around {
			for listed, p := range rules[q] {
				if listed == method || listed == "" {
					joined[method] = joined[method].with(p)
				}
			}
		}
	}
	return joined
}

// redundant tells whether the cell next around already says the same.
func redundant(cells []cell, next cell) bool {
	for _, around := range slices.Backward(cells) {
		if !around.pattern.covers(next.pattern) {
			continue
		}
		return maps.EqualFunc(around.methods, next.methods, func(a, b permission) bool { return a.clients.key() == b.clients.key() })
	}
	return false
}

// Limits of the CRD HTTPRoute.
const (
	mostMatches = 8
	mostRules   = 16
)

// methodsOfRoutes are those that an HTTPRoute can name.
var methodsOfRoutes = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

// routes writes HTTPRoutes for the requests that grants permit: one for each set
// of clients. A grant to nobody makes a route on which the Server's own
// permissions alone count.
func (out *writer) routes(serverName, readable string, grants []grant) {
	matches := map[string][]httpRouteMatch{}
	sets := map[string]permission{}
	cells := cellsOf(grants)
	for _, each := range cells {
		path, ok := out.path(each, cells)
		if !ok {
			continue
		}
		for _, method := range slices.Sorted(maps.Keys(each.methods)) {
			p := each.methods[method]
			if method != "" && !slices.Contains(methodsOfRoutes, method) {
				out.notExpressible("MethodNotExpressible", p.origins, fmt.Sprintf("an HTTPRoute cannot name the method %s: requests with it stay closed", method))
				continue
			}
			key := p.clients.key()
			sets[key] = permission{clients: p.clients, origins: slices.Concat(sets[key].origins, p.origins)}
			matches[key] = append(matches[key], httpRouteMatch{Path: &path, Method: method})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(sets)) {
		for i, part := range slices.Collect(slices.Chunk(matches[key], mostMatches*mostRules)) {
			name := model.NameFor(readable+"-route", serverName+" "+key+" "+strconv.Itoa(i))
			origins := sets[key].origins
			if len(origins) == 0 {
				origins = []model.Origin{out.profile()}
			}
			out.route(name, serverName, part, origins)
			out.authorize(objectRef{Group: policyGroup, Kind: "HTTPRoute", Name: name}, readable+"-route", sets[key].clients, forAll(sets[key].origins))
		}
	}
}

// path renders a cell's pattern, less the cells inside it.
func (out *writer) path(each cell, cells []cell) (httpPathMatch, bool) {
	var inside []pattern
	for _, other := range cells {
		if other.pattern != each.pattern && each.pattern.covers(other.pattern) && !agreesAtRoot(each, other) {
			inside = append(inside, other.pattern)
		}
	}
	path, err := each.pattern.match(inside)
	if err != nil {
		for _, p := range each.methods {
			out.notExpressible("PathNotExpressible", p.origins, err.Error()+": these requests stay closed")
		}
		return path, false
	}
	return path, true
}

// agreesAtRoot tells whether the exact path "/" need not be cut out of the prefix
// "/", which is as long: where both answer a method they then answer alike, and a
// match that names the method goes before one that does not.
func agreesAtRoot(each, other cell) bool {
	if each.pattern != everyPath || other.pattern != (pattern{text: "/"}) {
		return false
	}
	for method, p := range each.methods {
		if p.clients.key() != other.methods[method].clients.key() {
			return false
		}
	}
	return true
}

func (out *writer) notExpressible(code string, origins []model.Origin, message string) {
	for _, origin := range origins {
		out.compiler.problem(code, model.Error, origin.Ref, "spec.http", message, "state the rule with other methods or paths")
	}
}

func (out *writer) route(name, serverName string, matches []httpRouteMatch, origins []model.Origin) {
	var rules []httpRouteRule
	for part := range slices.Chunk(matches, mostMatches) {
		rules = append(rules, httpRouteRule{Matches: part})
	}
	out.add(httpRoute{
		TypeMeta: metav1.TypeMeta{APIVersion: routeVersion, Kind: "HTTPRoute"},
		Metadata: out.meta(name, origins),
		Spec: httpRouteSpec{
			ParentRefs: []objectRef{{Group: policyGroup, Kind: "Server", Name: serverName}},
			Rules:      rules,
		},
	}, model.PhaseDeny) // a route takes away: probes lose their automatic permission, other requests get a 404
}
