package linkerd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// waysBetween tells the ways in few words: "8080: mtls by 4143", "5432: plain".
func (s *state) waysBetween(from, to string) []string {
	s.t.Helper()
	var told []string
	for _, w := range s.r.Ways(s.end(from).Workload, s.end(to).Workload) {
		parts := make([]string, len(w.Ports))
		for i, p := range w.Ports {
			parts[i] = strings.TrimSuffix(p.String(), "/TCP")
		}
		text := strings.Join(parts, ",") + ": plain"
		if w.Protected {
			text = strings.Join(parts, ",") + ": mtls"
		}
		if w.Dials != 0 {
			text += fmt.Sprint(" by ", w.Dials)
		}
		if w.Either {
			text += " or not"
		}
		if w.ByAddress {
			text += " to its address"
		}
		if w.Unknown != "" {
			text += " perhaps"
		}
		require.NotEmpty(s.t, w.Cause.Message)
		told = append(told, text)
	}
	return told
}

func TestClientsInTheMeshComeByTheirProxies(t *testing.T) {
	const own, rest = "4190-4191: plain", "1-4189,4192-65535: mtls"
	const opaque, others = "25,587,3306,4444,5432,6379,9300,11211: mtls by 4143", "1-24,26-586,588-3305,3307-4189,4192-4443,4445-5431,5433-6378,6380-9299,9301-11210,11212-65535: mtls"
	for transport, want := range map[string][]string{
		"transport-header": {own, rest + " by 4143"},
		"transparent":      {own, opaque, others},
		"''":               {own, opaque, others + " by 4143 or not"},
	} {
		s := newState(t, strings.Replace(meshed, "transport: transport-header", "transport: "+transport, 1))
		require.Equal(t, want, s.waysBetween("shop/web", "shop/api"), transport)
		require.Nil(t, s.r.Ways(nil, s.end("shop/api").Workload))
		require.Nil(t, s.r.Ways(s.end("shop/api").Workload, nil))
		require.Empty(t, s.waysBetween("shop/out", "shop/api"))
		require.Empty(t, s.waysBetween("shop/api", "shop/out"))
	}
}

func TestPortsAreOpaqueByThePodItsServicesAndServers(t *testing.T) {
	text := strings.Replace(meshed, "transport: transport-header", "transport: transparent", 1)
	text = strings.Replace(text, "labels: {tier: back}", "annotations: {config.linkerd.io/opaque-ports: 'raw'}", 1)
	text = strings.Replace(text, "workloads:\n", `services:
- {name: shop/api, selector: {app: api}, annotations: {config.linkerd.io/opaque-ports: "70"}, ports: [{port: 70, targetPort: 7000, protocol: TCP}]}
workloads:
`, 1)
	older := "\n- {apiVersion: policy.linkerd.io/v1beta1, kind: Server, metadata: {namespace: shop, name: aaa}, spec: {podSelector: {}, port: 8080}}\n"
	s := newState(t, text+strings.Replace(serverAPI, "port: 8080", "port: web, proxyProtocol: opaque", 1)+older)
	require.Equal(t, "7000,8080-8081,9000: mtls by 4143", s.waysBetween("shop/web", "shop/api")[1])
	for _, server := range []string{
		strings.Replace(serverAPI, "port: 8080", "port: 8080, proxyProtocol: HTTP/1", 1),
		strings.Replace(strings.Replace(serverAPI, "port: 8080", "port: 8080, proxyProtocol: opaque", 1), "app: api", "app: web", 1),
	} {
		s = newState(t, text+server)
		require.Equal(t, "7000,9000: mtls by 4143", s.waysBetween("shop/web", "shop/api")[1])
	}
}

func TestSubnetsThatAServerSkipsMakeTheWayUnclear(t *testing.T) {
	s := newState(t, strings.Replace(meshed, "labels: {tier: back}", "annotations: {config.linkerd.io/skip-subnets: 10.0.0.0/8}", 1))
	require.Equal(t, []string{"4190-4191: plain", "1-4189,4192-65535: mtls by 4143 perhaps"}, s.waysBetween("shop/web", "shop/api"))
	require.Equal(t, []string{"4190-4191: plain", "1-4189,4192-65535: mtls by 4143"}, s.waysBetween("shop/web", "bank/web"))
}

// skipping is a client that leads Service port 80 and pod port 7000 around its proxy.
func skipping(text string) string {
	return strings.Replace(text, "{name: shop/web,", "{name: shop/web, annotations: {config.linkerd.io/skip-outbound-ports: '80,7000'},", 1)
}

func TestPortsThatAClientSkipsAreThoseThatItDials(t *testing.T) {
	service := func(spec string) string {
		return strings.Replace(skipping(meshed), "workloads:\n", "services:\n- {name: shop/api, selector: {app: api}, "+spec+"}\nworkloads:\n", 1)
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"no Service": {skipping(meshed), []string{
			"4190-4191: plain", "1-79,81-4189,4192-6999,7001-65535: mtls by 4143", "80,7000: plain to its address",
		}},
		"a Service that leads elsewhere": {service("ports: [{port: 80, targetPort: 8080, protocol: TCP}]"), []string{
			"4190-4191: plain", "8080: plain", "1-79,81-4189,4192-6999,7001-8079,8081-65535: mtls by 4143", "80,7000: plain to its address", "8080: mtls by 4143 to its address",
		}},
		"another port of it too": {service("ports: [{name: a, port: 80, targetPort: 8080, protocol: TCP}, {name: b, port: 81, targetPort: 8080, protocol: TCP}]"), []string{
			"4190-4191: plain", "8080: plain", "1-79,81-4189,4192-6999,7001-65535: mtls by 4143", "80,7000: plain to its address",
		}},
		"a Service of the port itself": {service("ports: [{port: 7000, protocol: TCP}]"), []string{
			"4190-4191: plain", "7000: plain", "1-79,81-4189,4192-6999,7001-65535: mtls by 4143", "80: plain to its address",
		}},
		"a Service by another port": {service("ports: [{port: 70, targetPort: 7000, protocol: TCP}]"), []string{
			"4190-4191: plain", "1-79,81-4189,4192-65535: mtls by 4143", "80,7000: plain to its address",
		}},
		"a headless Service": {service("clusterIPs: [None], ports: [{port: 80, targetPort: 8080, protocol: TCP}]"), []string{
			"4190-4191: plain", "1-79,81-4189,4192-6999,7001-65535: mtls by 4143", "80,7000: plain to its address",
		}},
		"of UDP": {service("ports: [{port: 80, targetPort: 8080, protocol: UDP}]"), []string{
			"4190-4191: plain", "1-79,81-4189,4192-6999,7001-65535: mtls by 4143", "80,7000: plain to its address",
		}},
	} {
		s := newState(t, c.text)
		require.Equal(t, c.want, s.waysBetween("shop/web", "shop/api"), name)
		require.Equal(t, "1-4189,4192-65535: mtls by 4143", s.waysBetween("bank/web", "shop/api")[1], name)
	}
	s := newState(t, service("ports: [{port: 80, targetPort: 8080, protocol: TCP}]")+serverAPI+policyFor(atAPI, "{kind: ServiceAccount, name: web}"))
	s.in.Network = nil
	told := verdict.Explain(s.in, verdict.Question{From: s.end("shop/web"), To: s.end("shop/api"), Port: model.TCP(8080), OverService: true})
	require.Equal(t, verdict.Refused, told.Decision, "in plaintext there is no identity")
	require.Equal(t, "Deployment shop/web spec.template.metadata.annotations[config.linkerd.io/skip-outbound-ports]",
		told.Answers[0].Causes[0].Object.String()+" "+told.Answers[0].Causes[0].Field)
	s.expect(map[string]string{"shop/web → shop/api:8080": "allowed"}) // to the pod's address
}

func TestAnInboundSkipGoesBeforeAnOutboundOne(t *testing.T) {
	text := strings.Replace(skipping(meshed), "labels: {tier: back}", "annotations: {config.linkerd.io/skip-inbound-ports: '7000'}", 1)
	require.Equal(t, []string{"4190-4191: plain", "7000: plain", "1-79,81-4189,4192-6999,7001-65535: mtls by 4143", "80: plain to its address"},
		newState(t, text).waysBetween("shop/web", "shop/api"))
}

func TestTheProxysUserAmongTheContainersMakesTheWayUnclear(t *testing.T) {
	text := strings.Replace(meshed, "{name: shop/web, addresses: [10.1.0.2], spec: {containers: [{name: web}]}}",
		"{name: shop/web, addresses: [10.1.0.2], spec: {containers: [{name: web, securityContext: {runAsUser: 2102}}]}}", 1)
	s := newState(t, text)
	require.Equal(t, []string{"4190-4191: plain", "1-4189,4192-65535: mtls by 4143 perhaps"}, s.waysBetween("shop/web", "shop/api"))
	require.Equal(t, "Deployment shop/web spec.template.spec.containers[web].securityContext.runAsUser",
		s.ask("shop/web → shop/api:80").Answers[0].Causes[0].Object.String()+" "+s.ask("shop/web → shop/api:80").Answers[0].Causes[0].Field)
}

func TestSendersAndReceiversTellApartWhatWaysTellApart(t *testing.T) {
	s := newState(t, meshed)
	sender := func(name string) string { return s.r.Sender(s.end(name).Workload) }
	receiver := func(name string) string { return s.r.Receiver(s.end(name).Workload) }
	require.Empty(t, sender("shop/out"))
	require.Equal(t, sender("shop/web"), sender("bank/web"))
	require.NotEmpty(t, sender("shop/web"))
	require.Equal(t, receiver("shop/web"), receiver("shop/api"))
	require.NotEqual(t, receiver("shop/web"), receiver("shop/out"))

	s = newState(t, skipping(meshed))
	require.NotEqual(t, sender("shop/web"), sender("bank/web"))
	s = newState(t, strings.Replace(meshed, "{name: shop/web,", "{name: shop/web, annotations: {config.linkerd.io/skip-subnets: 10.0.0.0/8},", 1))
	require.NotEqual(t, sender("shop/web"), sender("bank/web"))
	require.NotEqual(t, receiver("shop/web"), receiver("bank/web"))
	const opaque = "annotations: {config.linkerd.io/opaque-ports: '80'}"
	s = newState(t, strings.Replace(meshed, "labels: {tier: back}", opaque, 1))
	require.Equal(t, receiver("shop/web"), receiver("shop/api"), "what is opaque makes no difference where all is carried on 4143")
	s = newState(t, strings.Replace(strings.Replace(meshed, "labels: {tier: back}", opaque, 1), "transport-header", "transparent", 1))
	require.NotEqual(t, receiver("shop/web"), receiver("shop/api"))
	const service = "services:\n- {name: shop/api, selector: {app: api}, ports: [{port: 80, targetPort: 8080, protocol: TCP}]}\nworkloads:\n"
	s = newState(t, strings.Replace(meshed, "workloads:\n", service, 1))
	require.Equal(t, receiver("shop/web"), receiver("shop/api"))
	s = newState(t, skipping(strings.Replace(meshed, "workloads:\n", service, 1)))
	require.NotEqual(t, receiver("shop/web"), receiver("shop/api"))
}
