package verdict

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// protocols in the order in which they lie on the line of all ports.
var protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

// width is how far the ports of one protocol lie from those of the next.
const width = 1 << 16

// span is a range of ports on one line: those of TCP, then UDP, then SCTP.
type span struct{ first, last uint32 }

// portSet is a set of ports of all protocols: spans that are sorted and do not touch.
type portSet []span

// everyPort is every port of every protocol; port 0 is none.
func everyPort() portSet {
	var all portSet
	for i := range protocols {
		all = append(all, span{uint32(i*width) + 1, uint32(i*width) + width - 1})
	}
	return all
}

// protocolSpan is every port of a protocol; ok is false where the protocol is not known.
func protocolSpan(protocol corev1.Protocol) (s span, ok bool) {
	i := slices.Index(protocols, protocol)
	if i < 0 {
		return span{}, false
	}
	return span{uint32(i*width) + 1, uint32(i*width) + width - 1}, true
}

// spanOf is where a port or range lies.
func spanOf(p model.Port) (s span, ok bool) {
	all, ok := protocolSpan(p.Protocol)
	if !ok || p.Number == 0 {
		return all, ok
	}
	base := all.first - 1
	return span{base + uint32(p.Number), base + uint32(p.Last())}, p.Number > 0 && p.Last() < width
}

// newPortSet is the union of ports and ranges. What is no port is left out.
func newPortSet(ports []model.Port) portSet {
	spans := make(portSet, 0, len(ports))
	for _, p := range ports {
		if s, ok := spanOf(p); ok {
			spans = append(spans, s)
		}
	}
	return spans.normal()
}

// normal sorts spans and joins those that touch, in place.
func (s portSet) normal() portSet {
	if len(s) < 2 {
		return s
	}
	slices.SortFunc(s, func(a, b span) int { return int(int64(a.first) - int64(b.first)) })
	joined := s[:1]
	for _, next := range s[1:] {
		last := &joined[len(joined)-1]
		if next.first <= last.last+1 {
			last.last = max(last.last, next.last)
			continue
		}
		joined = append(joined, next)
	}
	return joined
}

func (s portSet) union(t portSet) portSet {
	switch {
	case len(s) == 0:
		return t
	case len(t) == 0:
		return s
	}
	return append(append(make(portSet, 0, len(s)+len(t)), s...), t...).normal()
}

func (s portSet) intersect(t portSet) portSet {
	var both portSet
	for i, j := 0, 0; i < len(s) && j < len(t); {
		first, last := max(s[i].first, t[j].first), min(s[i].last, t[j].last)
		if first <= last {
			both = append(both, span{first, last})
		}
		if s[i].last < t[j].last {
			i++
		} else {
			j++
		}
	}
	return both
}

// minus is what is in s and not in t.
func (s portSet) minus(t portSet) portSet {
	var left portSet
	j := 0
	for _, at := range s {
		for j < len(t) && t[j].last < at.first {
			j++
		}
		for k := j; k < len(t) && t[k].first <= at.last; k++ {
			if t[k].first > at.first {
				left = append(left, span{at.first, t[k].first - 1})
			}
			at.first = t[k].last + 1
			if t[k].last >= at.last {
				break
			}
		}
		if at.first <= at.last {
			left = append(left, at)
		}
	}
	return left
}

func (s portSet) contains(p model.Port) bool {
	at, ok := spanOf(p)
	return ok && slices.ContainsFunc(s, func(in span) bool { return in.first <= at.first && at.last <= in.last })
}

// key is equal for equal sets, and only for them.
func (s portSet) key() string {
	key := make([]byte, 0, 8*len(s))
	for _, at := range s {
		for _, n := range [2]uint32{at.first, at.last} {
			key = append(key, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
		}
	}
	return string(key)
}

// ProtocolPorts are the ports of one protocol.
type ProtocolPorts struct {
	Protocol corev1.Protocol
	// Ports are numbers and ranges, "80,443-445"; every port is "1-65535".
	Ports string
}

// byProtocol takes a set apart, in the order of protocols.
func (s portSet) byProtocol() []ProtocolPorts {
	var parts []ProtocolPorts
	for i, protocol := range protocols {
		base := uint32(i * width)
		var texts []string
		for _, at := range s {
			if at.first >= base && at.first < base+width {
				texts = append(texts, rangeText(at.first-base, at.last-base))
			}
		}
		if texts != nil {
			parts = append(parts, ProtocolPorts{protocol, strings.Join(texts, ",")})
		}
	}
	return parts
}

func rangeText(first, last uint32) string {
	if first == last {
		return strconv.FormatUint(uint64(first), 10)
	}
	return fmt.Sprintf("%d-%d", first, last)
}
