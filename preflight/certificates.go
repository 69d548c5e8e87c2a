package preflight

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"floe.dev/palisade/model"
)

// withAuthority runs a check on the mesh's authority where something of it shows.
func withAuthority(part func(*authority) []held, judge func(*Input, *authority, *tally) (well, ill string)) func(*Input) Outcome {
	return inMesh(func(in *Input) Outcome {
		a := in.authority()
		if in.Model.Cluster.Mesh.Namespace == "" {
			return outcome(Unknown, "where the control plane runs is not known").fix("give --mesh-namespace")
		}
		if len(part(&a)) == 0 && len(a.wrong) == 0 {
			switch {
			case len(a.unread) > 0:
				o := outcome(Unknown, "what holds the mesh's certificates could not be read").fix("let whoever runs palisade check get these Secrets by name; only their certificates are looked at")
				o.Details = a.unread
				return o
			case !in.live():
				return outcome(Skipped, "no certificate of the mesh among what was read")
			default:
				return outcome(Skipped, "no Secret or ConfigMap of the mesh holds it: the mesh takes certificates from an authority elsewhere")
			}
		}
		var t tally
		for _, wrong := range a.wrong {
			t.look(Failed, "%s", wrong)
		}
		well, ill := judge(in, &a, &t)
		t.look(Passed, "")
		return t.outcome(well, ill)
	})
}

// notRead notes the Secrets that could not be read, for checks that rest on them.
func (a *authority) notRead(t *tally) {
	for _, unread := range a.unread {
		t.look(Unknown, "%s", unread)
	}
}

func partRoots(a *authority) []held { return a.roots }

func partIssuer(a *authority) []held { return a.issuer }

func rootsValid() Check {
	return Check{
		ID: "RootsValid", Category: Certificates, Reads: []string{readConfigMaps},
		What: "the mesh's root certificates are valid for at least 60 days",
		Why:  "When a root expires, every connection of the mesh fails at once; to bring in a new one takes restarts of every workload.",
		Fix:  "begin the rotation of the root now: add the new one to the bundle, let every proxy take it, then change the issuer",
		Run: withAuthority(partRoots, func(in *Input, a *authority, t *tally) (string, string) {
			return judgeAges(in, a.roots, t, "root")
		}),
	}
}

func issuerValid() Check {
	return Check{
		ID: "IssuerValid", Category: Certificates,
		What: "the certificate that signs the workloads' is valid for at least 60 days",
		Why:  "No leaf outlives its issuer: as it ends, leaves get shorter, then none is issued, and pods no longer start.",
		Fix:  "rotate the issuer under the same root, and see that the mesh took it up",
		Run: withAuthority(partIssuer, func(in *Input, a *authority, t *tally) (string, string) {
			a.notRead(t)
			return judgeAges(in, slices.Concat(a.issuer, a.chain), t, "issuer")
		}),
	}
}

func judgeAges(in *Input, list []held, t *tally, noun string) (well, ill string) {
	soonest := time.Time{}
	for _, c := range list {
		status, text := c.age(in.Now, expiresSoon)
		t.look(status, "%s", text)
		if soonest.IsZero() || c.NotAfter.Before(soonest) {
			soonest = c.NotAfter
		}
	}
	return fmt.Sprintf("%s, valid until %s (%s left)", plural(len(list), noun+" certificate"), soonest.UTC().Format(time.DateOnly), daysText(soonest.Sub(in.Now))),
		plural(len(t.details), noun+" certificate") + " at fault"
}

func authorityStrong() Check {
	return Check{
		ID: "AuthorityStrong", Category: Certificates, Reads: []string{readConfigMaps},
		What: "the mesh's authority has keys and signatures that hold",
		Why:  "Whoever can forge the authority's signature is every workload at once.",
		Fix:  "make a new authority with ECDSA P-256 keys, and rotate to it",
		Run: withAuthority(func(a *authority) []held { return a.all() }, func(in *Input, a *authority, t *tally) (string, string) {
			a.notRead(t)
			for _, c := range a.all() {
				if weak := c.weakness(); weak != "" {
					t.look(Failed, "%s: %s", c.named(), weak)
				}
			}
			if in.Model.Cluster.Mesh.Kind == model.MeshLinkerd {
				for _, c := range a.issuer[:min(1, len(a.issuer))] {
					if !c.isP256() {
						t.look(Failed, "%s: Linkerd takes ECDSA P-256 keys only for its issuer", c.named())
					}
				}
			}
			return plural(len(a.all()), "certificate") + ": " + algorithms(a.all()), plural(len(t.details), "certificate") + " at fault, or not known"
		}),
	}
}

func issuerTrusted() Check {
	return Check{
		ID: "IssuerTrusted", Category: Certificates, Reads: []string{readConfigMaps},
		What: "the issuer's chain leads to a root that proxies are given",
		Why:  "Leaves of an issuer whose root the proxies do not hold are refused by everybody.",
		Fix:  "put the issuer's root into the bundle, let every proxy take it, and then change the issuer: in this order",
		Run: withAuthority(partIssuer, func(in *Input, a *authority, t *tally) (string, string) {
			a.notRead(t)
			name, _ := RootBundle(in.Model.Cluster.Mesh.Kind)
			roots, others := x509.NewCertPool(), x509.NewCertPool()
			given := 0
			for _, c := range a.roots {
				if c.fromConfigMap() {
					given++
					roots.AddCert(c.Certificate)
				}
			}
			if given == 0 {
				t.look(Unknown, "ConfigMap %s was not found in the control plane's namespace", name)
				return "", "what proxies trust does not show"
			}
			for _, c := range slices.Concat(a.chain, a.issuer[min(1, len(a.issuer)):]) {
				others.AddCert(c.Certificate)
			}
			for _, c := range a.issuer[:min(1, len(a.issuer))] {
				// Ages are another check's: here only signatures and constraints count.
				at := c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2)
				_, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
				if err != nil {
					t.look(Failed, "%s: %v", c.named(), err)
				}
			}
			return "it leads to " + plural(given, "root") + " of ConfigMap " + name, "proxies do not trust the issuer"
		}),
	}
}

func rootsAlike() Check {
	return Check{
		ID: "RootsAlike", Category: Certificates, Reads: []string{readConfigMaps},
		What: "every namespace is given the same roots, and there is one",
		Why:  "Two roots are a rotation under way, which is to be finished; namespaces that were given others do not trust the rest.",
		Fix:  "finish the rotation: when no leaf of the old root is left, take it out of the bundle; see why the mesh does not update these ConfigMaps",
		Run: withAuthority(partRoots, func(in *Input, a *authority, t *tally) (string, string) {
			mesh := &in.Model.Cluster.Mesh
			if n := len(a.roots); n > 1 {
				t.look(Warning, "%s: %s", plural(n, "root"), strings.Join(namesOf(a.roots), ", "))
			}
			name, key := RootBundle(mesh.Kind)
			own := in.object("ConfigMap", mesh.Namespace, name)
			copies := in.configMaps(name)
			for _, o := range copies {
				if own != nil && o.Map("data")[key] != own.Map("data")[key] {
					t.look(Failed, "%s: differs from that of %s", o.Ref(), mesh.Namespace)
				}
			}
			return fmt.Sprintf("one root, in %s", plural(len(copies), "namespace")), "several roots are about"
		}),
	}
}
