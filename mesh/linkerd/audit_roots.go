package linkerd

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"floe.dev/palisade/model"
)

// TrustRootAnnotation is the hash of the trust bundle that a proxy was started with (linkerd2 pkg/inject/inject.go).
const TrustRootAnnotation = "linkerd.io/trust-root-sha256"

// trustBundle reports running pods whose proxies hold another trust bundle than the
// mesh's: a proxy has it from its environment, so it changes by a restart only
// (linkerd2#4287). linkerd check --proxy compares the same.
func (a *auditor) trustBundle() {
	for i := range a.m.Existing {
		o := &a.m.Existing[i]
		if ref := o.Ref(); ref.Kind != "ConfigMap" || ref.Name != "linkerd-identity-trust-roots" {
			continue
		}
		bundle, _ := o.Map("data")["ca-bundle.crt"].(string)
		if bundle == "" {
			continue
		}
		var outdated []*model.Workload
		for _, list := range [][]model.Workload{a.m.Pods, a.m.Workloads} {
			for j := range list {
				w := &list[j]
				if held := w.Annotations[TrustRootAnnotation]; held != "" && w.Running && w.ID.Kind == "Pod" && !HashesBundle(held, bundle) {
					outdated = append(outdated, w)
				}
			}
		}
		if len(outdated) > 0 {
			a.find("TrustBundleOutdated", model.Warning, o.Ref(), "data[ca-bundle.crt]",
				fmt.Sprintf("running pods were started with another trust bundle (%s): once certificates are issued under a root that they do not hold, they trust nobody who has one", model.Named(outdated)),
				"restart these pods before the issuer is changed, and before an old root is taken out")
		}
	}
}

// HashesBundle tells whether a pod's annotation is the hash of a bundle, whatever white space that ends with.
func HashesBundle(held, bundle string) bool {
	trimmed := strings.TrimSpace(bundle)
	for _, text := range []string{bundle, trimmed, trimmed + "\n"} {
		sum := sha256.Sum256([]byte(text))
		if strings.EqualFold(held, hex.EncodeToString(sum[:])) {
			return true
		}
	}
	return false
}
