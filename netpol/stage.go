package netpol

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"floe.dev/palisade/model"
)

// stageOf is how far the policies of a namespace are written. A stage before
// default deny rests on a policy that lets everything through; beside policies
// of others that one would open what they close, so there nothing is written until default deny is.
//
//	Prepare     palisade-open
//	Permissive  palisade-open, and every policy
//	Enforce                        every policy
//
// Each step between them is safe in whatever order its objects are written,
// though every policy isolates its pods from the moment it is there.
func (c *compiler) stageOf(n *model.Namespace) model.Stage {
	if n.Posture == nil || c.m.IsHeld(n.Name, model.LayerNetwork) {
		return model.StageObserve
	}
	network := n.Posture.Network
	switch {
	case network.DefaultDeny:
		return model.StageEnforce
	case network.Stage != model.StagePrepare && network.Stage != model.StagePermissive:
		return model.StageObserve
	}
	if theirs := c.othersIn(n.Name); theirs != nil {
		c.problem(model.Origin{Ref: n.Ref()}, complaint{
			"StageNotWritten", model.Info,
			fmt.Sprintf("beside %s of somebody else's a policy that lets everything through would open what that one closes: no NetworkPolicy is written ahead, default deny will come with all of them at once", theirs.Ref()), "",
		})
		return model.StageObserve
	}
	return network.Stage
}

// open is the policy beside which no other refuses anything: what policies allow adds up.
func (h *home) open() model.Object {
	origin := model.Origin{Ref: model.Ref{Kind: "SecurityProfile", Name: h.namespace.Posture.Profile}, Part: "rollout"}
	spec := map[string]any{
		"podSelector": map[string]any{},
		"policyTypes": []any{string(networkingv1.PolicyTypeIngress), string(networkingv1.PolicyTypeEgress)},
		"ingress":     []any{map[string]any{}},
		"egress":      []any{map[string]any{}},
	}
	return h.object("networking.k8s.io/v1", "NetworkPolicy", model.OpenName, model.PhaseFirst, spec, []string{
		"ingress[0]: " + origin.String(), "egress[0]: " + origin.String(),
	})
}

// closers are the kinds whose denials a NetworkPolicy that allows everything
// would lift: those that add up with it, and those that only count where no policy selects a pod.
var closers = []struct {
	group string
	// namespaced kinds count in their namespace, cluster-wide ones everywhere.
	namespaced, cluster []string
}{
	{"networking.k8s.io", []string{"NetworkPolicy"}, nil},
	{"cilium.io", []string{"CiliumNetworkPolicy"}, []string{"CiliumClusterwideNetworkPolicy"}},
	{"crd.projectcalico.org", []string{"NetworkPolicy"}, []string{"GlobalNetworkPolicy"}},
	{"projectcalico.org", []string{"NetworkPolicy"}, []string{"GlobalNetworkPolicy"}},
	{"policy.networking.k8s.io", nil, []string{"BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"}},
}

// othersIn finds a policy of somebody else's that may close something in a namespace, or nil.
func (c *compiler) othersIn(namespace string) *model.Object {
	if c.others == nil {
		c.others = map[string]*model.Object{}
		for i := range c.m.Existing {
			c.noteOther(&c.m.Existing[i])
		}
	}
	if o := c.others[namespace]; o != nil {
		return o
	}
	return c.others[everywhere]
}

// everywhere is no name of a namespace.
const everywhere = "*"

func (c *compiler) noteOther(o *model.Object) {
	ref := o.Ref()
	if o.Owned() {
		return
	}
	for _, row := range closers {
		where := ref.Namespace
		switch {
		case row.group != ref.Group():
			continue
		case slices.Contains(row.cluster, ref.Kind):
			where = everywhere
		case !slices.Contains(row.namespaced, ref.Kind):
			continue
		}
		if c.others[where] == nil {
			c.others[where] = o
		}
	}
}
