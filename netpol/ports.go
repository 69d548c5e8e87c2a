package netpol

import (
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// mergePorts is the same set of ports in fewer entries, sorted. What overlaps is
// merged, and what adjoins a range; two single ports side by side stay single,
// because a CNI without support for ranges sees only the first port of one.
func mergePorts(from []model.Port) []model.Port {
	sorted := model.SortPorts(slices.Clone(from))
	var to []model.Port
	for i := 0; i < len(sorted); {
		run := sorted[i]
		ranged, j := run.Last() > run.Number, i+1
		for ; j < len(sorted) && adjoins(run, sorted[j]); j++ {
			ranged = ranged || sorted[j].Last() > sorted[j].Number
			run.End = max(run.Last(), sorted[j].Last())
		}
		if ranged || run.Number == 0 {
			to = append(to, run)
		} else {
			to = append(to, sorted[i:j]...)
		}
		i = j
	}
	for i := range to {
		if to[i].Number == 0 || to[i].End <= to[i].Number {
			to[i].End = 0
		}
	}
	return to
}

// adjoins tells whether next, which sorts after run, overlaps it or follows at once.
func adjoins(run, next model.Port) bool {
	return run.Protocol == next.Protocol && (run.Number == 0 || next.Number <= run.Last()+1)
}

func portsKey(ports []model.Port) string {
	var b strings.Builder
	for _, p := range ports {
		b.WriteString(p.String())
		b.WriteByte(' ')
	}
	return b.String()
}
