package istio

import "slices"

// portRange is an inclusive range of TCP ports.
type portRange struct{ first, last int32 }

// ranges are sorted and do not overlap.
type ranges []portRange

// everyTCP is every TCP port.
var everyTCP = ranges{{1, 65535}}

// only keeps the ports of a sorted list.
func (r ranges) only(ports []int32) ranges {
	kept := ranges{}
	for _, port := range ports {
		if slices.ContainsFunc(r, func(in portRange) bool { return in.first <= port && port <= in.last }) {
			kept = append(kept, portRange{port, port})
		}
	}
	return kept
}

// without takes the ports of a sorted list out.
func (r ranges) without(ports []int32) ranges {
	left := slices.Clone(r)
	for _, port := range ports {
		i := slices.IndexFunc(left, func(in portRange) bool { return in.first <= port && port <= in.last })
		if i < 0 {
			continue
		}
		var pieces ranges
		if in := left[i]; in.first < port {
			pieces = append(pieces, portRange{in.first, port - 1})
		}
		if in := left[i]; port < in.last {
			pieces = append(pieces, portRange{port + 1, in.last})
		}
		left = slices.Replace(left, i, i+1, pieces...)
	}
	return left
}
