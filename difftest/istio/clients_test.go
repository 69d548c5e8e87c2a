package difftest

import (
	"net"
	"strconv"
	"strings"
	"testing"

	clusterpb "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlspb "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// sending is how a client's proxy sends to one endpoint.
type sending int8

const (
	// absent: it knows no such Service.
	absent sending = iota
	plain
	// own is TLS without the mesh's certificate.
	own
	mutual
	hbone
	// relayed is HBONE to a waypoint.
	relayed
)

func (s sending) String() string {
	return [...]string{"absent", "plaintext", "own TLS", "mTLS", "HBONE", "HBONE to a waypoint"}[s]
}

// sends reads how a proxy sends to a port of a Service at one pod.
func sends(t *testing.T, c *clusterpb.Cluster, assignment *endpointpb.ClusterLoadAssignment, address string, port int32) sending {
	if c == nil {
		return absent
	}
	if c.GetType() == clusterpb.Cluster_ORIGINAL_DST {
		return socketOf(t, c, nil)
	}
	target := net.JoinHostPort(address, strconv.Itoa(int(port)))
	through := absent
	for _, locality := range assignment.GetEndpoints() {
		for _, e := range locality.LbEndpoints {
			tunnel := e.Metadata.GetFilterMetadata()["envoy.filters.listener.original_dst"].GetFields()
			switch {
			case tunnel["waypoint"].GetStringValue() != "":
				through = relayed
			case tunnel["local"].GetStringValue() == target, socketAddress(e) == target:
				return socketOf(t, c, e.Metadata.GetFilterMetadata()["envoy.transport_socket_match"])
			}
		}
	}
	return through
}

func socketAddress(e *endpointpb.LbEndpoint) string {
	s := e.GetEndpoint().GetAddress().GetSocketAddress()
	return net.JoinHostPort(s.GetAddress(), strconv.Itoa(int(s.GetPortValue())))
}

// socketOf is the transport socket for an endpoint with some metadata: the first
// match of which every field is there.
func socketOf(t *testing.T, c *clusterpb.Cluster, metadata *structpb.Struct) sending {
	for _, m := range c.TransportSocketMatches {
		holds := true
		for key, value := range m.Match.GetFields() {
			holds = holds && proto.Equal(metadata.GetFields()[key], value)
		}
		if holds {
			return classify(t, m.TransportSocket)
		}
	}
	return classify(t, c.TransportSocket)
}

func classify(t *testing.T, s *corepb.TransportSocket) sending {
	switch {
	case s == nil, s.Name == "envoy.transport_sockets.raw_buffer":
		return plain
	case strings.Contains(s.Name, "internal_upstream"):
		return hbone
	}
	context := unpack(t, s.GetTypedConfig(), &tlspb.UpstreamTlsContext{})
	common := context.CommonTlsContext
	if common.GetCombinedValidationContext() == nil && common.GetTlsCertificateProviderInstance() == nil && len(common.TlsCertificateSdsSecretConfigs) == 0 {
		require.Equal(t, "envoy.transport_sockets.tls", s.Name)
		return own
	}
	for _, secret := range common.TlsCertificateSdsSecretConfigs {
		if secret.Name == "default" {
			return mutual
		}
	}
	if common.GetTlsCertificateProviderInstance() != nil || strings.Contains(common.String(), "certificate_provider") {
		return mutual // as gRPC is told
	}
	return own
}

// tunnelled tells whether a waypoint sends to a pod by HBONE.
func tunnelled(assignment *endpointpb.ClusterLoadAssignment, address string, port int32) bool {
	target := net.JoinHostPort(address, strconv.Itoa(int(port)))
	for _, locality := range assignment.GetEndpoints() {
		for _, e := range locality.LbEndpoints {
			if e.Metadata.GetFilterMetadata()["envoy.filters.listener.original_dst"].GetFields()["local"].GetStringValue() == target {
				return true
			}
		}
	}
	return false
}
