package deploy_test

import (
	"bytes"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"floe.dev/palisade/falco"
)

const falcoRules = "falco/palisade_rules.yaml"

// falcoItem is one item of a file of rules, with the keys that Falco knows and the rules here use (falcosecurity/falco,
// userspace/engine/rule_json_schema.h has them all). Others are an error.
type falcoItem struct {
	RequiredEngineVersion string           `yaml:"required_engine_version"`
	List                  string           `yaml:"list"`
	Items                 []string         `yaml:"items"`
	Macro                 string           `yaml:"macro"`
	Rule                  string           `yaml:"rule"`
	Desc                  string           `yaml:"desc"`
	Condition             string           `yaml:"condition"`
	Exceptions            []falcoException `yaml:"exceptions"`
	Output                string           `yaml:"output"`
	Priority              string           `yaml:"priority"`
	Source                string           `yaml:"source"`
	Tags                  []string         `yaml:"tags"`
}

type falcoException struct {
	Name   string   `yaml:"name"`
	Fields []string `yaml:"fields"`
	Comps  []string `yaml:"comps"`
}

// falcoFile is what the rules come to.
type falcoFile struct {
	rules      []falcoItem
	conditions map[string]filter
	// defined are lists and macros, used those that some condition names.
	defined, used map[string]bool
}

// loadFalco reads the rules as Falco does: from the top, a name being known only after it was defined.
func loadFalco(t *testing.T, text []byte) falcoFile {
	t.Helper()
	var items []falcoItem
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&items))
	f := falcoFile{conditions: map[string]filter{}, defined: map[string]bool{}, used: map[string]bool{}}
	macros, lists := map[string]filter{}, map[string][]string{}
	for i, item := range items {
		p := &falcoParser{macros: macros, lists: lists, used: f.used}
		switch {
		case item.RequiredEngineVersion != "":
			assert.Zero(t, i, "the version comes first")
			assert.Regexp(t, `^\d+\.\d+\.\d+$`, item.RequiredEngineVersion)
		case item.List != "":
			require.NotContains(t, f.defined, item.List)
			require.NotEmpty(t, item.Items, item.List)
			f.defined[item.List] = true
			for _, one := range item.Items {
				one = strings.Trim(one, `"`)
				if inner, known := lists[one]; known {
					f.used[one] = true
					lists[item.List] = append(lists[item.List], inner...)
				} else {
					lists[item.List] = append(lists[item.List], one)
				}
			}
		case item.Macro != "":
			require.NotContains(t, f.defined, item.Macro)
			f.defined[item.Macro] = true
			condition, err := p.parse(item.Condition)
			require.NoError(t, err, item.Macro)
			macros[item.Macro] = condition
		default:
			require.NotEmpty(t, item.Rule, "item %d is nothing", i)
			require.NotContains(t, f.conditions, item.Rule)
			condition, err := p.parse(item.Condition)
			require.NoError(t, err, item.Rule)
			f.conditions[item.Rule] = condition
			f.rules = append(f.rules, item)
		}
	}
	return f
}

func shippedFalco(t *testing.T) falcoFile {
	t.Helper()
	text, err := os.ReadFile(falcoRules)
	require.NoError(t, err)
	return loadFalco(t, text)
}

func TestFalcoRulesAreWhole(t *testing.T) {
	f := shippedFalco(t)
	for _, r := range f.rules {
		t.Run(r.Rule, func(t *testing.T) {
			assert.True(t, strings.HasPrefix(r.Rule, "Palisade "), "names must not meet those of Falco's own rules")
			assert.Greater(t, len(r.Desc), 40)
			assert.Contains(t, []string{"CRITICAL", "ERROR", "WARNING", "NOTICE"}, r.Priority)
			assert.Equal(t, "syscall", r.Source)
			for _, part := range []string{"namespace=%k8s.ns.name", "pod=%k8s.pod.name", "container=%container.name", "image=%container.image.repository", "process=%proc.name"} {
				if part != "process=%proc.name" || !strings.Contains(r.Output, "shell=%proc.name") {
					assert.Contains(t, r.Output, part)
				}
			}
			for _, field := range regexp.MustCompile(`%([a-z0-9_.]+)`).FindAllStringSubmatch(r.Output, -1) {
				assert.True(t, knownField(field[1]), field[1])
			}
			require.NotEmpty(t, r.Exceptions, "users must be able to let pass what is right")
			for _, e := range r.Exceptions {
				assert.NotEmpty(t, e.Name)
				assert.Len(t, e.Comps, len(e.Fields), e.Name)
				for i, field := range e.Fields {
					assert.True(t, knownField(field), field)
					assert.Contains(t, []string{"=", "startswith", "in"}, e.Comps[i])
				}
			}
			assert.NotContains(t, r.Condition, "evt.dir", "deprecated since Falco 0.42")
		})
	}
	for name := range f.defined {
		assert.True(t, strings.HasPrefix(name, "palisade_"), "%s would override one of Falco's own", name)
		assert.True(t, f.used[name], "%s is used nowhere", name)
	}
}

// The promises that package falco knows are the rules that are shipped, and speak of the same requirements.
func TestFalcoRulesAndPromisesAreTheSame(t *testing.T) {
	f := shippedFalco(t)
	requirements := map[string][]string{}
	for _, r := range f.rules {
		require.Contains(t, r.Tags, "palisade", r.Rule)
		var mitre, technique bool
		requirements[r.Rule] = nil
		for _, tag := range r.Tags {
			mitre = mitre || strings.HasPrefix(tag, "mitre_")
			technique = technique || regexp.MustCompile(`^T\d{4}(\.\d{3})?$`).MatchString(tag)
			if strings.HasPrefix(tag, "REQ-") {
				requirements[r.Rule] = append(requirements[r.Rule], tag)
			}
		}
		assert.True(t, mitre && technique, "%s: tactic and technique of ATT&CK", r.Rule)
	}
	promised := map[string][]string{}
	for _, p := range falco.Promises() {
		promised[p.Rule] = p.Requirements
	}
	assert.Equal(t, promised, requirements)
}

func TestFalcoRulesAreExplained(t *testing.T) {
	text, err := os.ReadFile("../docs/runtime.md")
	require.NoError(t, err)
	var rows []string
	for _, row := range regexp.MustCompile(`(?m)^\| (Palisade [A-Za-z ]+) \| ([a-z]+) \| ([A-Z0-9, -]+) \|`).FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, strings.Join(row[1:], "|"))
	}
	var wanted []string
	for _, r := range shippedFalco(t).rules {
		p, _ := falco.PromiseOf(r.Rule)
		wanted = append(wanted, r.Rule+"|"+strings.ToLower(r.Priority)+"|"+strings.Join(p.Requirements, ", "))
	}
	assert.Equal(t, wanted, rows, "docs/runtime.md has a row for each rule, in the order of the file")
}

// process is an event of a program of a hardened pod, that no rule minds.
func process(change ...string) map[string]string {
	e := map[string]string{
		"evt.type": "execve", "evt.rawres": "0", "evt.res": "SUCCESS", "evt.num": "7",
		"container.id": "3ad7b26ded6d", "container.name": "web", "container.image.repository": "registry.example.com/shop/web", "k8s.ns.name": "shop", "k8s.pod.name": "web-7d9",
		"proc.name": "web", "proc.pname": "containerd-shim", "proc.exepath": "/app/web", "proc.cmdline": "web serve", "user.uid": "65532", "thread.cap_effective": "",
		"proc.is_container_healthcheck": "false", "proc.is_container_liveness_probe": "false", "proc.is_container_readiness_probe": "false",
	}
	for i := 0; i+1 < len(change); i += 2 {
		if change[i+1] == "-" {
			delete(e, change[i])
		} else {
			e[change[i]] = change[i+1]
		}
	}
	return e
}

func with(base []string, more ...string) map[string]string {
	return process(append(slices.Clone(base), more...)...)
}

var (
	accepted  = []string{"evt.type", "accept4", "evt.rawres", "9", "fd.typechar", "4", "fd.lip", "10.1.0.9", "fd.lport", "8080", "fd.rip", "10.1.0.7", "fd.rnet", "10.1.0.7", "fd.rport", "40000"}
	connected = []string{"evt.type", "connect", "fd.typechar", "4", "fd.lip", "10.1.0.9", "fd.lport", "40000", "fd.rip", "10.1.0.7", "fd.rnet", "10.1.0.7", "fd.rport", "8080"}
	opened    = []string{"evt.type", "openat", "fd.typechar", "f", "fd.num", "5", "fd.name", "/data/x", "fs.path.name", "/data/x", "evt.is_open_read", "false", "evt.is_open_write", "false"}
)

// Each event, and the one rule that fires, or none.
//
// Features: REQ-461.
func TestFalcoRulesFireOnWhatTheyAreFor(t *testing.T) {
	const (
		past, user, shell, root, capability, bit = "Palisade Connection Past the Proxy", "Palisade Proxy User Misused", "Palisade Shell in Hardened Pod", "Palisade Process as Root", "Palisade Capability Held", "Palisade Set User Id Bit"
		refused, written, token, metadata, nft   = "Palisade Write Refused", "Palisade Root File System Written", "Palisade Service Account Token Read", "Palisade Metadata Address Contacted", "Palisade Packet Filter Changed"
		secret                                   = "/var/run/secrets/kubernetes.io/serviceaccount/"
	)
	tests := map[string]struct {
		event map[string]string
		want  string
	}{
		"a program of the image": {process(), ""},

		"a peer's own address":         {with(accepted), past},
		"the same by IPv6":             {with(accepted, "fd.typechar", "6", "fd.lip", "fd00::9", "fd.rip", "fd00::7", "fd.rnet", "fd00::7"), past},
		"by Istio's proxy":             {with(accepted, "fd.rip", "127.0.0.6", "fd.rnet", "127.0.0.6"), ""},
		"by Istio's proxy and IPv6":    {with(accepted, "fd.typechar", "6", "fd.rip", "::6", "fd.rnet", "::6"), ""},
		"by Linkerd's proxy":           {with(accepted, "fd.rip", "10.1.0.9", "fd.rnet", "10.1.0.9"), ""},
		"from loopback":                {with(accepted, "fd.rip", "127.0.0.1", "fd.rnet", "127.0.0.1"), ""},
		"to Envoy itself":              {with(accepted, "proc.exepath", "/usr/local/bin/envoy", "container.name", "istio-proxy", "user.uid", "1337"), ""},
		"to one that says it is Envoy": {with(accepted, "proc.name", "envoy", "proc.exepath", "/tmp/envoy"), past},
		"to a port that is left out":   {with(accepted, "fd.lport", "15020"), ""},
		"a call that failed":           {with(accepted, "evt.rawres", "-11"), ""},
		"a Unix socket":                {with(accepted, "fd.typechar", "u", "fd.rip", "-", "fd.rnet", "-", "fd.lip", "-", "fd.lport", "-"), ""},
		"in the system's namespace":    {with(accepted, "k8s.ns.name", "kube-system"), ""},
		"in no namespace":              {with(accepted, "k8s.ns.name", "-"), ""},
		"on the host":                  {with(accepted, "container.id", "host", "k8s.ns.name", "-"), ""},

		"a connection":                     {with(connected), ""},
		"as the proxy's user":              {with(connected, "user.uid", "1337"), user},
		"as Linkerd's":                     {with(connected, "user.uid", "2102"), user},
		"by the proxy":                     {with(connected, "user.uid", "1337", "proc.exepath", "/usr/local/bin/envoy"), ""},
		"by Linkerd's":                     {with(connected, "user.uid", "2102", "proc.exepath", "/usr/lib/linkerd/linkerd2-proxy"), ""},
		"by curl in the proxy's container": {with(connected, "user.uid", "1337", "proc.exepath", "/usr/bin/curl", "container.name", "istio-proxy"), user},
		"to itself as the proxy's user":    {with(connected, "user.uid", "1337", "fd.rip", "127.0.0.1", "fd.rnet", "127.0.0.1"), ""},
		"a connection that is still begun": {with(connected, "user.uid", "1337", "evt.rawres", "-115", "evt.res", "EINPROGRESS"), user},

		"a shell":                   {process("proc.name", "bash"), shell},
		"busybox":                   {process("proc.name", "busybox"), shell},
		"a probe's shell":           {process("proc.name", "sh", "proc.is_container_liveness_probe", "true"), ""},
		"a shell that is not there": {process("proc.name", "sh", "evt.rawres", "-2"), ""},
		"a shell elsewhere":         {process("proc.name", "sh", "k8s.ns.name", "istio-system"), ""},

		"root":                     {process("user.uid", "0"), root},
		"root of the mesh's setup": {process("user.uid", "0", "container.name", "istio-init", "proc.name", "iptables-restor", "thread.cap_effective", "CAP_NET_ADMIN CAP_NET_RAW"), ""},

		"a capability":          {process("thread.cap_effective", "CAP_CHOWN CAP_SYS_ADMIN"), capability},
		"one that does no harm": {process("thread.cap_effective", "CAP_NET_BIND_SERVICE"), ""},

		"the set-user-id bit":    {process("evt.type", "fchmodat", "evt.arg.mode", "S_ISUID|S_IXUSR"), bit},
		"another mode":           {process("evt.type", "fchmodat", "evt.arg.mode", "S_IXUSR"), ""},
		"a bit that was refused": {process("evt.type", "chmod", "evt.arg.mode", "S_ISUID", "evt.rawres", "-1"), ""},
		"setcap":                 {process("proc.name", "setcap"), bit},

		"a read-only root":      {with(opened, "evt.is_open_write", "true", "fd.num", "-30", "evt.res", "EROFS", "fd.name", "/usr/bin/x", "fs.path.name", "/usr/bin/x"), refused},
		"a root that is not":    {with(opened, "evt.is_open_write", "true", "fd.name", "/usr/bin/x"), written},
		"configuration":         {with(opened, "evt.is_open_write", "true", "fd.name", "/etc/passwd"), written},
		"a volume":              {with(opened, "evt.is_open_write", "true"), ""},
		"a program, to read":    {with(opened, "evt.is_open_read", "true", "fd.name", "/usr/bin/x"), ""},
		"the proxy's own files": {with(opened, "evt.is_open_write", "true", "fd.name", "/etc/istio/proxy/envoy-rev.json", "proc.exepath", "/usr/local/bin/pilot-agent"), ""},

		"a token":                   {with(opened, "evt.is_open_read", "true", "fd.name", secret+"token"), token},
		"a token, by its link":      {with(opened, "evt.is_open_read", "true", "fd.name", secret+"..2026_11_23_12_00_00.1/token"), token},
		"the certificate beside it": {with(opened, "evt.is_open_read", "true", "fd.name", secret+"ca.crt"), ""},
		"the proxy's":               {with(opened, "evt.is_open_read", "true", "fd.name", secret+"token", "proc.exepath", "/usr/local/bin/pilot-agent"), ""},
		"one that is not there":     {with(opened, "evt.is_open_read", "true", "fd.num", "-2", "fd.name", secret+"token"), ""},

		"the metadata service":         {with(connected, "fd.rip", "169.254.169.254", "fd.rnet", "169.254.169.254", "fd.rport", "80"), metadata},
		"the same, dropped on its way": {with(connected, "fd.rip", "169.254.169.254", "fd.rnet", "169.254.169.254", "evt.rawres", "-115"), metadata},
		"the metadata service by IPv6": {with(connected, "fd.typechar", "6", "fd.rip", "fd00:ec2::254", "fd.rnet", "fd00:ec2::254"), metadata},
		"a neighbour of it":            {with(connected, "fd.rip", "169.254.169.253", "fd.rnet", "169.254.169.253"), ""},

		"a packet filter":          {process("proc.name", "nft"), nft},
		"one with a name too long": {process("proc.name", "xtables-nft-mul"), nft},
	}
	f := shippedFalco(t)
	fired := map[string]bool{}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for rule, condition := range f.conditions {
				if condition(test.event) {
					got = append(got, rule)
				}
			}
			var want []string
			if test.want != "" {
				want = []string{test.want}
				fired[test.want] = true
			}
			assert.Equal(t, want, got)
		})
	}
	assert.Equal(t, slices.Sorted(maps.Keys(f.conditions)), slices.Sorted(maps.Keys(fired)), "every rule was seen to fire")
}

// Falco looks at a rule for the events that it asks for; one that asks for none costs dear, and Falco warns of it.
func TestFalcoRulesAskForTheirEvents(t *testing.T) {
	f := shippedFalco(t)
	for rule, condition := range f.conditions {
		for _, base := range [][]string{accepted, connected, opened, {}} {
			assert.False(t, condition(with(base, "evt.type", "close", "evt.rawres", "0")), rule)
		}
	}
}

// The checks themselves must be able to fail.
func TestFalcoConditionsAreParsedStrictly(t *testing.T) {
	for condition, want := range map[string]string{
		"evt.type = execve and": "too early", "evt.type = fork": "no event fork", "proc.nome = x": "no field proc.nome", "unheard_of": "no macro unheard_of",
		"evt.type in (execve": "too early", "proc.name is x": "no operator is", "(proc.name = x": "too early", "proc.name = x proc.name = y": "more than one",
		"proc.name in x": `wanted "("`, "fd.rip = val(fd.nowhere)": "no field fd.nowhere", "proc.name = x)": "more than one",
	} {
		_, err := (&falcoParser{used: map[string]bool{}}).parse(condition)
		assert.ErrorContains(t, err, want, condition)
	}
	for condition, want := range map[string]bool{
		"proc.name = web or proc.name = x and proc.name = y": true, "(proc.name = web or proc.name = x) and proc.name = y": false,
		"not proc.name = web": false, "not not proc.name = web": true, "proc.tty exists": false, "proc.tty != 1": false, "user.uid >= 65532": true, `proc.name in ("x", web)`: true,
	} {
		f, err := (&falcoParser{used: map[string]bool{}}).parse(condition)
		require.NoError(t, err, condition)
		assert.Equal(t, want, f(process()), condition)
	}
}
