package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// kindWords are the words by which people name kinds.
var kindWords = map[string]string{
	"deployment": "Deployment", "deploy": "Deployment", "statefulset": "StatefulSet", "sts": "StatefulSet", "daemonset": "DaemonSet", "ds": "DaemonSet",
	"replicaset": "ReplicaSet", "rs": "ReplicaSet", "replicationcontroller": "ReplicationController", "rc": "ReplicationController",
	"job": "Job", "cronjob": "CronJob", "cj": "CronJob", "pod": "Pod", "po": "Pod", "service": kindService, "svc": kindService, "gateway": "Gateway", "gw": "Gateway",
}

const kindService = "Service"

// Name is one end of a question as a person writes it: an address, or
// "[namespace/][kind/]name" of a workload, a pod or a Service.
type Name struct {
	Address               netip.Addr
	Namespace, Kind, Name string
}

// ParseName reads a Name. namespace is that of names which give none.
func ParseName(text, namespace string) (Name, error) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return Name{Address: a.Unmap().WithZone("")}, nil
	}
	parts := strings.Split(text, "/")
	n := Name{Namespace: namespace, Name: parts[len(parts)-1]}
	switch len(parts) {
	case 1:
	case 2:
		if kind := kindWords[strings.ToLower(parts[0])]; kind != "" {
			n.Kind = kind
		} else {
			n.Namespace = parts[0]
		}
	case 3:
		n.Namespace, n.Kind = parts[0], kindWords[strings.ToLower(parts[1])]
		if n.Kind == "" {
			return Name{}, fmt.Errorf("%q: %q is no kind of workload; write namespace/deployment/name, for example", text, parts[1])
		}
	default:
		return Name{}, fmt.Errorf("%q is neither an address nor [namespace/][kind/]name", text)
	}
	if n.Name == "" || n.Namespace == "" {
		return Name{}, fmt.Errorf("%q is neither an address nor [namespace/][kind/]name", text)
	}
	return n, nil
}

// String is how a person reads it.
func (n Name) String() string {
	if n.Address.IsValid() {
		return n.Address.String()
	}
	if n.Kind == "" {
		return n.Namespace + "/" + n.Name
	}
	return n.Kind + " " + n.Namespace + "/" + n.Name
}

// PortName is a port as a person writes it: a number or a name, of a protocol that is TCP where none is given.
type PortName struct {
	Number   int32
	Name     string
	Protocol corev1.Protocol
}

// ParsePort reads "8080", "http", "53/udp"; the empty text is no port.
func ParsePort(text string) (PortName, error) {
	number, protocol, given := strings.Cut(text, "/")
	p := PortName{Protocol: corev1.ProtocolTCP}
	if given {
		p.Protocol = corev1.Protocol(strings.ToUpper(protocol))
	}
	if !slices.Contains([]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}, p.Protocol) {
		return PortName{}, fmt.Errorf("port %q: the protocol must be tcp, udp or sctp", text)
	}
	if n, err := strconv.Atoi(number); err == nil {
		if n < 1 || n > 65535 {
			return PortName{}, fmt.Errorf("port %q must be from 1 to 65535", text)
		}
		p.Number = int32(n)
		return p, nil
	}
	if number == "" {
		return PortName{}, fmt.Errorf("port %q is neither a number nor a name", text)
	}
	p.Name = number
	return p, nil
}

// ParseTarget reads "name:port", "address:port" or "[address]:port"; the port may be left out.
func ParseTarget(text, namespace string) (Name, *PortName, error) {
	name, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !isAddress(text) {
		name, port = text[:i], text[i+1:]
	}
	n, err := ParseName(name, namespace)
	if err != nil || name == text {
		return n, nil, err
	}
	p, err := ParsePort(port)
	return n, &p, err
}

// isAddress tells an IPv6 address, which has colons of its own, from a name with a port.
func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// target is a server of a question with the ports that are asked about.
type target struct {
	end   verdict.End
	ports []model.Port
	// service is set where the server is asked for by a Service.
	service *model.Service
}

// Ask answers whether one peer reaches another, port by port. A Service stands
// for the workloads behind it; without a port, all that the server listens on is asked about.
func (v *View) Ask(from, to Name, port *PortName) ([]Explained, error) {
	clients, err := v.ends(from)
	if err != nil {
		return nil, err
	}
	targets, err := v.targets(to, port)
	if err != nil {
		return nil, err
	}
	var all []Explained
	for _, client := range clients {
		for _, t := range targets {
			for _, p := range t.ports {
				q := verdict.Question{From: client, To: t.end, Port: p, OverService: t.service != nil}
				all = append(all, Explained{verdict.Explain(v.State, q), t.service})
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no port is declared, neither by its containers nor by a Service; name one: %s:8080", to, to.Name)
	}
	return all, nil
}

// Explained is an explanation, with the Service that it was asked about by.
type Explained struct {
	verdict.Explanation
	Service *model.Service
}

// ends finds the workloads, the pod or the address that a name means.
func (v *View) ends(n Name) ([]verdict.End, error) {
	if n.Address.IsValid() {
		for i := range v.State.Workloads {
			if w := &v.State.Workloads[i]; slices.Contains(w.Addresses, n.Address) && !w.Spec.HostNetwork {
				return []verdict.End{{Workload: w}}, nil
			}
		}
		return []verdict.End{{Address: n.Address}}, nil
	}
	var found []verdict.End
	for i := range v.State.Workloads {
		if w := &v.State.Workloads[i]; n.means(w.ID) {
			found = append(found, verdict.End{Workload: w})
		}
	}
	if len(found) == 0 {
		found = v.pods(n)
	}
	switch {
	case len(found) == 0:
		return nil, v.unknown(n)
	case len(found) > 1:
		return nil, fmt.Errorf("%s is ambiguous: %s; name the kind", n, kindsOf(found))
	default:
		return found, nil
	}
}

// pods finds a pod by its name, where the view shows its workload.
func (v *View) pods(n Name) []verdict.End {
	for i := range v.Model.Pods {
		if p := &v.Model.Pods[i]; n.means(p.ID) {
			return []verdict.End{{Workload: p}}
		}
	}
	return nil
}

func (n Name) means(id model.WorkloadID) bool {
	return id.Namespace == n.Namespace && id.Name == n.Name && (n.Kind == "" || n.Kind == id.Kind)
}

func kindsOf(ends []verdict.End) string {
	var names []string
	for _, e := range ends {
		names = append(names, e.Workload.ID.String())
	}
	return strings.Join(names, ", ")
}

// unknown says that nothing has a name, and what has one like it.
func (v *View) unknown(n Name) error {
	var near []string
	for i := range v.State.Workloads {
		id := v.State.Workloads[i].ID
		if id.Name == n.Name || id.Namespace == n.Namespace && strings.Contains(id.Name, n.Name) {
			near = append(near, id.String())
		}
	}
	const most = 4
	if len(near) == 0 {
		return fmt.Errorf("nothing was read that is called %s: no workload, no pod, no Service", n)
	}
	if len(near) > most {
		near = append(near[:most], "…")
	}
	return fmt.Errorf("nothing was read that is called %s; did you mean %s?", n, strings.Join(near, ", "))
}

// targets finds the servers that a name and a port mean. A name that a workload
// and a Service share means the Service where that has the port.
func (v *View) targets(n Name, port *PortName) ([]target, error) {
	if service := v.service(n); service != nil && v.meansService(n, service, port) {
		return v.behind(service, port)
	}
	ends, err := v.ends(n)
	if err != nil {
		return nil, err
	}
	ports, err := portsOf(n, ends[0].Workload, port)
	if err != nil {
		return nil, err
	}
	return []target{{end: ends[0], ports: ports}}, nil
}

func (v *View) meansService(n Name, s *model.Service, port *PortName) bool {
	switch {
	case n.Kind == kindService, n.Address.IsValid():
		return true
	case port != nil:
		return servicePort(s, port) != nil
	default:
		return !v.isWorkload(n)
	}
}

// portsOf are the ports of a workload, nil being an address, that a question is about.
func portsOf(n Name, w *model.Workload, port *PortName) ([]model.Port, error) {
	switch {
	case w == nil && port == nil:
		return nil, fmt.Errorf("%s: name a port: %s:443", n, n)
	case w == nil && port.Number == 0:
		return nil, fmt.Errorf("%s: port %s: an address has no names for ports", n, port.Name)
	case port == nil:
		return listens(w), nil
	case port.Number != 0:
		return []model.Port{{Protocol: port.Protocol, Number: port.Number}}, nil
	}
	number := w.PortNamed(port.Name, port.Protocol)
	if number == 0 {
		return nil, fmt.Errorf("%s: no container has a %s port named %s", w.ID, port.Protocol, port.Name)
	}
	return []model.Port{{Protocol: port.Protocol, Number: number}}, nil
}

func (v *View) isWorkload(n Name) bool {
	return slices.ContainsFunc(v.State.Workloads, func(w model.Workload) bool { return n.means(w.ID) })
}

// service finds the Service that a name, or a cluster IP, means.
func (v *View) service(n Name) *model.Service {
	for i := range v.Model.Services {
		s := &v.Model.Services[i]
		byName := s.Namespace == n.Namespace && s.Name == n.Name && (n.Kind == "" || n.Kind == kindService)
		if byName || n.Address.IsValid() && slices.Contains(s.ClusterIPs, n.Address.String()) {
			return s
		}
	}
	return nil
}

func servicePort(s *model.Service, port *PortName) *corev1.ServicePort {
	for i := range s.Ports {
		p := &s.Ports[i]
		if model.ProtocolOr(p.Protocol) == port.Protocol && (port.Number != 0 && p.Port == port.Number || port.Number == 0 && p.Name == port.Name) {
			return p
		}
	}
	return nil
}

// behind are the workloads that a Service leads to, with the ports that theirs lead to.
func (v *View) behind(s *model.Service, port *PortName) ([]target, error) {
	ports := s.Ports
	if port != nil {
		p := servicePort(s, port)
		if p == nil {
			return nil, fmt.Errorf("service %s/%s has no such port; it has %s", s.Namespace, s.Name, servicePortNames(s))
		}
		ports = []corev1.ServicePort{*p}
	}
	var targets []target
	for i := range v.State.Workloads {
		w := &v.State.Workloads[i]
		if !slices.ContainsFunc(w.Services, func(of *model.Service) bool { return of.Namespace == s.Namespace && of.Name == s.Name }) {
			continue
		}
		t := target{end: verdict.End{Workload: w}, service: s}
		for j := range ports {
			if p, ok := model.TargetPort(w, &ports[j]); ok {
				t.ports = append(t.ports, p)
			}
		}
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("service %s/%s leads to no workload that was read", s.Namespace, s.Name)
	}
	return targets, nil
}

func servicePortNames(s *model.Service) string {
	var names []string
	for _, p := range s.Ports {
		names = append(names, fmt.Sprintf("%d/%s", p.Port, model.ProtocolOr(p.Protocol)))
	}
	return strings.Join(names, ", ")
}

// listens are the ports on which a workload is known to listen: those of its containers, and those that Services lead to.
func listens(w *model.Workload) []model.Port {
	var ports []model.Port
	for _, p := range w.ContainerPorts() {
		ports = append(ports, p.Port)
	}
	for _, s := range w.Services {
		for i := range s.Ports {
			if p, ok := model.TargetPort(w, &s.Ports[i]); ok {
				ports = append(ports, p)
			}
		}
	}
	return model.SortPorts(ports)
}

// Find lists the workloads or pods of the view that a name means: itself, or those behind a Service.
func (v *View) Find(n Name) ([]*model.Workload, error) {
	if s := v.service(n); s != nil && !v.isWorkload(n) {
		targets, err := v.behind(s, nil)
		var list []*model.Workload
		for _, t := range targets {
			list = append(list, t.end.Workload)
		}
		return list, err
	}
	ends, err := v.ends(n)
	if err != nil {
		return nil, err
	}
	if ends[0].Workload == nil {
		return nil, fmt.Errorf("%s is the address of no workload that was read", n)
	}
	return []*model.Workload{ends[0].Workload}, nil
}
