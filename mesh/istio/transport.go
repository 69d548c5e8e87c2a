package istio

import (
	"fmt"

	"floe.dev/palisade/model"
)

// cannotMeet says why a meshed client cannot reach a meshed server under its
// identity, or is empty where it can. Each plane speaks mTLS in its own way:
//
//   - to a sidecar, sidecars and gateways speak TLS on the port itself; ztunnel
//     speaks HBONE only, so it needs the label networking.istio.io/tunnel=http there;
//   - to an ambient pod, only those that dial HBONE come under an identity, and
//     gRPC's own xDS client never tunnels;
//   - a proxyless server terminates TLS itself and knows no HBONE.
func cannotMeet(client, server *model.Facts) string {
	switch {
	case client.Mode == model.ModeAmbient && server.Mode == model.ModeSidecar && server.Tunnel.Port == 0:
		return fmt.Sprintf("the client is ambient and the server's sidecar has no label %s=http, so ztunnel would send plaintext", tunnelLabel)
	case client.Mode == model.ModeAmbient && server.Mode == model.ModeProxyless:
		return "the client is ambient, and ztunnel sends plaintext to proxyless gRPC servers"
	case client.Mode == model.ModeProxyless && server.Mode == model.ModeAmbient:
		return "the client is proxyless gRPC, which cannot tunnel to ambient pods"
	case client.Mode == model.ModeSidecar && server.Mode == model.ModeAmbient && !client.DialsTunnel:
		return "the client's sidecar does not dial HBONE (istiod's PILOT_ENABLE_AMBIENT was not seen), so it would send plaintext to ambient pods"
	default:
		return ""
	}
}
