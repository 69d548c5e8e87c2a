package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"floe.dev/palisade/verify"
)

// How the lines of a verification are drawn: each is told by its dashes as well as by its colour.
var (
	provenLine   = line{"wire-proven", "#1a7f37", "none", "mTLS, proven"}
	brokenLine   = line{"wire-broken", "#cf222e", "10,3,2,3", "broken"}
	unprovenLine = line{"wire-unproven", "#6e7781", "2,4", "not shown"}
	openLine     = line{"wire-open", "#b35900", "7,4", "plaintext"}
)

// wireLine is how the connections to a port are drawn.
func wireLine(v verify.Verdict) *line {
	switch v {
	case verify.Pass:
		return &provenLine
	case verify.Fail:
		return &brokenLine
	case verify.Unprotected, verify.Open:
		return &openLine
	default:
		return &unprovenLine
	}
}

// mostNodes is how many identities a picture shows; beyond, namespaces stand for them.
const mostNodes = 40

// VerificationSVG is a picture of who talks to whom by the rules, and what
// handshakes showed of it. It is empty where no rule lets anybody in.
func VerificationSVG(r *verify.Report) []byte {
	w := newWirePicture(r, false)
	if len(w.p.nodes) > mostNodes {
		w = newWirePicture(r, true)
	}
	if len(w.p.edges) == 0 {
		return nil
	}
	w.p.unhub()
	w.p.lonely()
	return pictureSVG(w.p, "Who talks to whom, and what handshakes showed of it", []line{provenLine, brokenLine, unprovenLine, openLine})
}

// wirePicture makes the picture: a node is an identity with the workloads that
// have it, or a namespace.
type wirePicture struct {
	p      picture
	number map[string]int
	// coarse tells that nodes are namespaces.
	coarse bool
	ports  map[[2]int]map[*line][]int32
}

func newWirePicture(r *verify.Report, coarse bool) *wirePicture {
	w := &wirePicture{number: map[string]int{}, coarse: coarse, ports: map[[2]int]map[*line][]int32{}}
	ports := verify.Ports(r.Results)
	for i := range ports {
		if ports[i].Identity != "" {
			w.server(&ports[i])
		}
	}
	for i := range ports {
		p := &ports[i]
		for _, caller := range p.Callers {
			w.call(w.client(caller), w.server(p), p)
		}
	}
	w.edges()
	return w
}

// server is the node of a workload: that of its identity, where it has one.
func (w *wirePicture) server(p *verify.PortSummary) int {
	n := w.node(cmp.Or(p.Identity, p.Workload.String()), p.Workload.Namespace)
	node := &w.p.nodes[n]
	if name := p.Workload.Name; !w.coarse && !slices.Contains(node.lines, name) {
		if len(node.lines) == 1 && node.lines[0] == accountOf(p.Identity) && node.outside {
			node.lines = nil // a name is known in place of the account
		}
		node.lines, node.outside = append(node.lines, name), false
	}
	return n
}

// client is the node of a caller's identity.
func (w *wirePicture) client(identity string) int {
	n := w.node(identity, namespaceOf(identity))
	if node := &w.p.nodes[n]; len(node.lines) == 0 {
		node.lines, node.outside = []string{accountOf(identity)}, !w.coarse
	}
	return n
}

func (w *wirePicture) node(identity, namespace string) int {
	key, node := identity, pictureNode{place: namespace, inFocus: true}
	if w.coarse {
		key, node = namespace, pictureNode{lines: []string{namespace}, inFocus: true}
	}
	n, known := w.number[key]
	if !known {
		n = len(w.p.nodes)
		w.number[key] = n
		w.p.nodes = append(w.p.nodes, node)
	}
	return n
}

func (w *wirePicture) call(from, to int, p *verify.PortSummary) {
	key := [2]int{from, to}
	if w.ports[key] == nil {
		w.ports[key] = map[*line][]int32{}
	}
	kind := wireLine(p.Verdict)
	if !slices.Contains(w.ports[key][kind], p.Port) || w.coarse {
		w.ports[key][kind] = append(w.ports[key][kind], p.Port)
	}
}

// edges draws one for each pair of nodes, as the worst of its ports stands: of two on the same way one would hide the other.
func (w *wirePicture) edges() {
	pairs := slices.SortedFunc(maps.Keys(w.ports), func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	for _, pair := range pairs {
		var worst *line
		total := 0
		for _, kind := range []*line{&brokenLine, &unprovenLine, &openLine, &provenLine} {
			if n := len(w.ports[pair][kind]); n > 0 {
				worst = cmp.Or(worst, kind)
				total += n
			}
		}
		label := w.label(w.ports[pair][worst])
		if n := len(w.ports[pair][worst]); n < total {
			label = fmt.Sprintf("%s of %d", label, total)
		}
		w.p.edges = append(w.p.edges, pictureEdge{from: pair[0], to: pair[1], label: label, kind: worst})
	}
}

func (w *wirePicture) label(ports []int32) string {
	if w.coarse || len(ports) > shownPeers {
		return count(len(ports), "port")
	}
	slices.Sort(ports)
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = strconv.Itoa(int(p))
	}
	return strings.Join(texts, ", ")
}

// namespaceOf is the namespace that an identity names: Istio's "domain/ns/N/sa/A" or Linkerd's "A.N.serviceaccount.…".
func namespaceOf(identity string) string {
	_, namespace := splitIdentity(identity)
	return namespace
}

// accountOf is the service account that an identity names, or the identity itself.
func accountOf(identity string) string {
	account, _ := splitIdentity(identity)
	return account
}

func splitIdentity(identity string) (account, namespace string) {
	if parts := strings.Split(identity, "/"); len(parts) == 5 && parts[1] == "ns" && parts[3] == "sa" {
		return parts[4], parts[2]
	}
	if parts := strings.SplitN(identity, ".", 4); len(parts) == 4 && parts[2] == "serviceaccount" {
		return parts[0], parts[1]
	}
	return identity, ""
}

// identityText is an identity for people.
func identityText(identity string) string {
	account, namespace := splitIdentity(identity)
	if namespace == "" {
		return identity
	}
	return fmt.Sprintf("%s (namespace %s)", account, namespace)
}
