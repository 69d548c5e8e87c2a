package linkerd

import (
	"cmp"
	"strconv"
	"strings"
)

// release is a Linkerd release: a stable or enterprise version ("2.18.0") or
// an edge ("edge-25.4.4": year, month, number). The zero value is unknown.
type release struct {
	edge  bool
	parts [3]int
}

// parseRelease reads "stable-2.14.10", "enterprise-2.18.0", "2.18.0", "v2.18" or
// "edge-25.4.4"; false where it is none of them.
func parseRelease(text string) (release, bool) {
	channel, number, found := strings.Cut(text, "-")
	if !found || channel != "edge" && channel != "stable" && channel != "enterprise" && channel != "preview" {
		channel, number = "", text
	}
	number, _, _ = strings.Cut(number, "-") // a suffix such as "-rc1"
	r := release{edge: channel == "edge"}
	fields := strings.Split(strings.TrimPrefix(number, "v"), ".")
	if len(fields) < 2 {
		return release{}, false
	}
	for i, field := range fields[:min(len(fields), 3)] {
		n, err := strconv.Atoi(field)
		if err != nil || n < 0 {
			return release{}, false
		}
		r.parts[i] = n
	}
	return r, true
}

// atLeast compares with a milestone that is known by its version and by the edge that first had it.
func (r release) atLeast(m milestone) bool {
	if r.edge {
		return compareParts(r.parts, m.edge) >= 0
	}
	return compareParts(r.parts, m.version) >= 0
}

func compareParts(a, b [3]int) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2]))
}

// milestone is a change of Linkerd: the version and the edge that brought it.
type milestone struct {
	version, edge [3]int
}

// The milestones that matter here.
var (
	// serverV1beta2 brought Server v1beta2 (external workloads).
	serverV1beta2 = milestone{version: [3]int{2, 15, 0}, edge: [3]int{24, 2, 4}}
	// serverV1beta3 brought Server v1beta3 (accessPolicy).
	serverV1beta3 = milestone{version: [3]int{2, 16, 0}, edge: [3]int{24, 8, 2}}
	// headerTransport made transport-header the chart's default.
	headerTransport = milestone{version: [3]int{2, 18, 0}, edge: [3]int{25, 3, 2}}
)

// serverVersionOf is the newest version of Server that a release serves.
func serverVersionOf(r release) string {
	switch {
	case r.atLeast(serverV1beta3):
		return "v1beta3"
	case r.atLeast(serverV1beta2):
		return "v1beta2"
	default:
		return "v1beta1"
	}
}

// plainVersion is a version as Mesh.Version has it: "2.14.10", or "edge-25.4.4".
func plainVersion(text string) string {
	return strings.TrimPrefix(strings.TrimPrefix(text, "stable-"), "enterprise-")
}
