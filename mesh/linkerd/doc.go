// Package linkerd translates between the model and Linkerd 2.14 and later,
// edge releases included. It is pure.
//
// Linkerd's rules, as this package relies on them:
//
//   - A Server (one port of some pods) denies whatever nothing authorizes. Where
//     several Servers select the same pod and port, the oldest counts alone.
//   - A port without a Server is under the default inbound policy: an annotation
//     of the pod, else the cluster's setting.
//   - An HTTPRoute attached to a Server takes the probes' automatic permission
//     away, and requests that no route matches get a 404. A request that one
//     matches is permitted by the route's authorizations or by the Server's.
//   - Since 2.18 (outbound transport mode "transport-header") meshed clients dial
//     port 4143 whatever port they mean, so NetworkPolicies cannot tell ports
//     apart: the Servers written here restore that limit.
//
// Sources: linkerd2 policy-controller/k8s/index/src/{inbound,outbound} and
// charts, linkerd2-proxy linkerd/http/route and linkerd/app/inbound.
package linkerd
