package istio

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// serverFirstPorts carry protocols in which the server speaks first, and what these are.
var serverFirstPorts = map[int32]string{
	21: "FTP", 22: "SSH", 25: "SMTP", 110: "POP3", 143: "IMAP", 587: "SMTP", 2525: "SMTP", 3306: "MySQL",
}

// serverFirstNames begin the names that ports of such protocols bear.
var serverFirstNames = []struct{ prefix, protocol string }{
	{"ftp", "FTP"}, {"ssh", "SSH"}, {"smtp", "SMTP"}, {"submission", "SMTP"}, {"pop3", "POP3"}, {"imap", "IMAP"}, {"mysql", "MySQL"}, {"mariadb", "MySQL"},
}

// serverFirst reports ports of Services on which proxies wait for the client to speak, to
// find out what it speaks, while the client waits for the server: connections hang. They do
// where nothing declares the port as TCP, at the client's sidecar (listener.go, HTTPInspector) and,
// under PERMISSIVE, for clients without a proxy at the server's (listener_inbound.go, TLSInspector);
// there is no timeout unless MeshConfig.protocolDetectionTimeout sets one.
func (a *auditor) serverFirst() {
	sidecars := 0
	for i := range a.m.Workloads {
		if w := &a.m.Workloads[i]; w.Facts.Mode == model.ModeSidecar && !runsGateway(w) {
			sidecars++
		}
	}
	for i := range a.m.Services {
		s := &a.m.Services[i]
		for j := range s.Ports {
			a.serverFirstPort(s, j, sidecars)
		}
	}
}

func (a *auditor) serverFirstPort(s *model.Service, at, sidecars int) {
	p := &s.Ports[at]
	if !isTCP(*p) || declaredByWord(p) {
		return
	}
	servers := a.firstSpeakers(s, p)
	var waits []string
	if declared(*p) == sniffed && sidecars > servers.meshed {
		waits = append(waits, "sidecars of clients wait for the client's first bytes to find out what it speaks")
	}
	if servers.waiting {
		waits = append(waits, "under PERMISSIVE the servers' proxies wait for those of clients without a proxy to tell mTLS from plaintext")
	}
	if len(servers.list) == 0 || len(waits) == 0 {
		return
	}
	a.find("ServerFirstPort", model.Warning, serviceRef(s), fmt.Sprintf("spec.ports[%d]", at),
		fmt.Sprintf("port %d of %s carries %s, in which the server speaks first, and nothing declares it as TCP: %s; these connections hang",
			p.Port, model.Named(servers.list), servers.protocol, strings.Join(waits, ", and ")),
		"name the port tcp-… or set appProtocol: tcp; where clients without a proxy call it, set the port's mode to STRICT or DISABLE as well")
}

// speakers are the servers behind a port of a Service that speak first.
type speakers struct {
	list     []*model.Workload
	protocol string
	// meshed counts those with a sidecar; waiting tells that some proxy of theirs has to tell mTLS from plaintext.
	meshed  int
	waiting bool
}

func (a *auditor) firstSpeakers(s *model.Service, p *corev1.ServicePort) speakers {
	var found speakers
	workloads := a.m.WorkloadsIn(s.Namespace)
	for i := range workloads {
		w := &workloads[i]
		if len(s.Selector) == 0 || !selects(s.Selector, w.Labels) {
			continue
		}
		spoken := spokenOn(p, w)
		if spoken == "" {
			continue
		}
		found.protocol, found.list = spoken, append(found.list, w)
		if w.Facts.Mode == model.ModeSidecar && !runsGateway(w) {
			found.meshed++
			target := int32(targetPort(*p, w))
			found.waiting = found.waiting || captured(w, target) && a.modesOf(w).of(target).mode == permissive
		}
	}
	return found
}

// declaredByWord tells whether a Service says what a port carries.
func declaredByWord(p *corev1.ServicePort) bool {
	said := *p
	said.Port = 0 // Istio takes some numbers for TCP
	return declared(said) != sniffed
}

// spokenOn is the protocol of a port in which the server speaks first, or empty: by the number on
// which the pods listen, or by the name of the port.
func spokenOn(p *corev1.ServicePort, w *model.Workload) string {
	target := int32(targetPort(*p, w))
	names := []string{p.Name, p.TargetPort.StrVal}
	for _, known := range w.ContainerPorts() {
		if known.Contains(corev1.ProtocolTCP, target) {
			names = append(names, known.Name)
		}
	}
	for _, row := range serverFirstNames {
		if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(strings.ToLower(name), row.prefix) }) {
			return row.protocol
		}
	}
	return serverFirstPorts[target]
}
