package model

import (
	"cmp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// Port is one port or an inclusive range, as the pod listens (the container
// port, which Services call targetPort), never the port of a Service.
type Port struct {
	Protocol corev1.Protocol
	// Number is from 1 to 65535, or 0 for every port of the protocol.
	Number int32
	// End closes a range; 0 or Number means a single port.
	End int32
}

// NamedPort is a declared container port.
type NamedPort struct {
	Name string
	Port
}

// TCP is a TCP port.
func TCP(number int32) Port { return Port{Protocol: corev1.ProtocolTCP, Number: number} }

// UDP is a UDP port.
func UDP(number int32) Port { return Port{Protocol: corev1.ProtocolUDP, Number: number} }

// Last is the last number of the range.
func (p Port) Last() int32 { return max(p.Number, p.End) }

// Contains tells whether a single port lies in p.
func (p Port) Contains(protocol corev1.Protocol, number int32) bool {
	return p.Protocol == protocol && (p.Number == 0 || p.Number <= number && number <= p.Last())
}

// String is "8080/TCP" or "8000-8100/UDP".
func (p Port) String() string {
	text := make([]byte, 0, len("65535-65535/SCTP"))
	switch {
	case p.Number == 0:
		text = append(text, "any"...)
	case p.Last() > p.Number:
		text = append(strconv.AppendInt(text, int64(p.Number), 10), '-')
		text = strconv.AppendInt(text, int64(p.End), 10)
	default:
		text = strconv.AppendInt(text, int64(p.Number), 10)
	}
	return string(append(append(text, '/'), p.Protocol...))
}

// ComparePorts orders by protocol (TCP, UDP, SCTP happen to sort well enough by name), number, end.
func ComparePorts(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Last(), b.Last()))
}

// SortPorts sorts and removes duplicates, in place.
func SortPorts(ports []Port) []Port {
	slices.SortFunc(ports, ComparePorts)
	return slices.CompactFunc(ports, func(a, b Port) bool { return ComparePorts(a, b) == 0 })
}

func compactNamedPorts(ports []NamedPort) []NamedPort {
	slices.SortFunc(ports, func(a, b NamedPort) int {
		return cmp.Or(ComparePorts(a.Port, b.Port), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(ports)
}

// ProtocolOr is the protocol, or TCP where none is named, as the API server defaults it.
func ProtocolOr(p corev1.Protocol) corev1.Protocol {
	if p == "" {
		return corev1.ProtocolTCP
	}
	return p
}
