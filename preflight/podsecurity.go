package preflight

import (
	"slices"
	"strings"

	"floe.dev/palisade/model"
)

// podSecurityStable is the release in which Pod Security admission became stable, and on without a switch (KEP-2579).
var podSecurityStable = version{1, 25}

func podSecurityOn() Check {
	return Check{
		ID: "PodSecurityOn", Category: PodSecurity,
		What: "the API server judges pods by the labels of their namespace",
		Why:  "The labels that palisade sets are held by this admission plugin alone; where it is off, or exempts somebody, a privileged pod is let in.",
		Fix:  "take PodSecurity out of --disable-admission-plugins",
		Run: func(in *Input) Outcome {
			release, args := in.apiServer()
			if in.live() {
				release = in.Survey.Version
			}
			v, known := parseVersion(release)
			switch {
			case slices.ContainsFunc(strings.Split(flag(args, "--disable-admission-plugins"), ","), func(s string) bool { return s == "PodSecurity" }):
				return outcome(Failed, "the API server is started with --disable-admission-plugins=%s", flag(args, "--disable-admission-plugins"))
			case known && v.before(podSecurityStable):
				return outcome(Failed, "%s has it not yet for good; %s does", release, podSecurityStable).fix("upgrade the cluster")
			case flag(args, "--admission-control-config-file") != "":
				return outcome(Warning, "on, with a configuration of its own (%s), which may exempt users, namespaces and runtime classes; the API does not show it", flag(args, "--admission-control-config-file")).
					fix("read exemptions in that file, on the machine of the API server")
			case !known && !in.live():
				return outcome(Skipped, "neither the API server's pod nor its version was read")
			case !known:
				return outcome(Unknown, "the server's version does not show")
			case len(args) > 0:
				return outcome(Passed, "on, with no configuration of its own and so without exemptions")
			default:
				return outcome(Passed, "on since %s; exemptions, if any, do not show in the API, and none is known of", podSecurityStable)
			}
		},
	}
}

// apiServer are the release and the command line of the API server, where it runs as a pod (kubeadm, kind).
func (in *Input) apiServer() (release string, args []string) {
	for _, list := range [][]model.Workload{in.Model.Workloads, in.Model.Pods} {
		for i := range list {
			w := &list[i]
			if w.ID.Namespace != "kube-system" || w.Labels["component"] != "kube-apiserver" || len(w.Spec.Containers) == 0 {
				continue
			}
			c := &w.Spec.Containers[0]
			if tag := imageVersion.FindStringSubmatch(c.Image); tag != nil {
				release = tag[1]
			}
			return release, slices.Concat(c.Command, c.Args)
		}
	}
	return "", nil
}

// flag is the value of a flag of a command line, "--flag=value" or "--flag value".
func flag(args []string, name string) string {
	for i, arg := range args {
		if value, found := strings.CutPrefix(arg, name+"="); found {
			return value
		}
		if arg == name && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}
