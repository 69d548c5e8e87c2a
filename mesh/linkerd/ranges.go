package linkerd

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// ranges are sets of TCP ports: ranges that are sorted and do not touch.
type ranges []model.Port

// everyTCP is every TCP port.
var everyTCP = ranges{{Protocol: corev1.ProtocolTCP, Number: 1, End: 65535}}

// rangesOf joins ports.
func rangesOf(ports []model.Port) ranges {
	var joined ranges
	for _, p := range model.SortPorts(slices.Clone(ports)) {
		if last := len(joined) - 1; last >= 0 && p.Number <= joined[last].Last()+1 {
			joined[last].End = max(joined[last].Last(), p.Last())
			continue
		}
		joined = append(joined, p)
	}
	return joined
}

// with is what is in either of two.
func (r ranges) with(other ranges) ranges { return rangesOf(slices.Concat(r, other)) }

// in is what is in both of two.
func (r ranges) in(other ranges) ranges {
	var both ranges
	for _, a := range r {
		for _, b := range other {
			both = both.add(max(a.Number, b.Number), min(a.Last(), b.Last()))
		}
	}
	return both
}

// without is what is in r and not in the other.
func (r ranges) without(other ranges) ranges {
	var left ranges
	for _, p := range r {
		from := p.Number
		for _, hole := range other {
			if hole.Last() < from || hole.Number > p.Last() {
				continue
			}
			left = left.add(from, hole.Number-1)
			from = hole.Last() + 1
		}
		left = left.add(from, p.Last())
	}
	return left
}

// add appends a range, if there is anything in it.
func (r ranges) add(from, to int32) ranges {
	if from > to {
		return r
	}
	p := model.TCP(from)
	if to > from {
		p.End = to
	}
	return append(r, p)
}
