package issuers

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/lab"
)

// auditor runs palisade verify time after time, as a user does who keeps the last report.
type auditor struct {
	folder string
	// targets are what is tried; run adds what is meant at that time.
	targets *verify.Targets
	// certify yields certificates for probes, and expired ones that have expired; nil where the CA issues none.
	certify, expired func(ctx context.Context, identity string) (*tls.Certificate, error)
	runs             int
	// last is the file of the last report, empty where there is none.
	last string
}

// alone is another auditor of the same, who knows no earlier report.
func (a *auditor) alone(t *testing.T) *auditor {
	t.Helper()
	return &auditor{folder: t.TempDir(), targets: a.targets, certify: a.certify, expired: a.expired}
}

// meant is what an operator says of the CA at the time of a run.
type meant struct {
	roots  []*authority
	issuer *authority
	// bundles are what namespaces hold.
	bundles []verify.Bundle
}

// run verifies once, and expects an exit code.
func (a *auditor) run(t *testing.T, m meant, code int) *verify.Report {
	t.Helper()
	a.runs++
	a.write(t, m)
	args := []string{"verify", "--direct", "--targets", filepath.Join(a.folder, lab.TargetsFile), "-o", "json"}
	if a.last != "" {
		args = append(args, "--before", a.last)
	}
	out, notes, got := palisade(t, args...)
	a.last = filepath.Join(a.folder, fmt.Sprintf("report-%d.json", a.runs))
	require.NoError(t, os.WriteFile(a.last, out, 0o600))
	report := &verify.Report{}
	require.NoError(t, json.Unmarshal(out, report), "%s", notes)
	t.Logf("run %d at %s: %d pass, %d fail; %s; findings %v", a.runs, report.Finished.Format(time.TimeOnly), report.Summary.Pass, report.Summary.Fail, report.Rotation.Stage, codes(report))
	require.Equal(t, code, got, "%s\n%s", notes, a.show(t, "text"))
	return report
}

// write writes the file of targets, with certificates of every client that the CA issues then.
func (a *auditor) write(t *testing.T, m meant) {
	t.Helper()
	targets := *a.targets
	targets.Roots, targets.Bundles = []string{"roots.pem"}, m.bundles
	a.file(t, "roots.pem", pemOf(m.roots...))
	if m.issuer != nil {
		targets.Issuer = "issuer.pem"
		a.file(t, "issuer.pem", pemOf(m.issuer))
	}
	names := []string{targets.Stranger}
	for i := range targets.Targets {
		names = append(names, targets.Targets[i].Callers...)
	}
	slices.Sort(names)
	for i, name := range slices.Compact(names) {
		targets.Identities = append(targets.Identities, a.hold(t, name, fmt.Sprintf("client-%d", i), a.certify, false))
		if a.expired != nil && name != targets.Stranger {
			targets.Identities = append(targets.Identities, a.hold(t, name, fmt.Sprintf("expired-%d", i), a.expired, true))
		}
	}
	text, err := yaml.Marshal(targets)
	require.NoError(t, err)
	a.file(t, lab.TargetsFile, text)
}

func (a *auditor) hold(t *testing.T, identity, file string, yield func(context.Context, string) (*tls.Certificate, error), expired bool) verify.HeldIdentity {
	t.Helper()
	c, err := yield(t.Context(), identity)
	require.NoError(t, err)
	a.file(t, file+".pem", lab.PEM(c.Certificate...))
	a.file(t, file+".key", keyPEM(t, c.PrivateKey))
	return verify.HeldIdentity{Identity: identity, Certificate: file + ".pem", Key: file + ".key", Expired: expired}
}

func (a *auditor) file(t *testing.T, name string, text []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(a.folder, name), text, 0o600))
}

// show is the last report in a format.
func (a *auditor) show(t *testing.T, format string) string {
	t.Helper()
	out, _, _ := palisade(t, "report", a.last, "-o", format)
	return string(out)
}

// tells looks into the last report as people read it: that cart has renewed, and when, and that idle has not.
func tells(t *testing.T, a *auditor, r *verify.Report, namespace string) {
	t.Helper()
	text := a.show(t, "text")
	assert.Contains(t, text, "1 pod renewed a certificate: "+namespace+"/cart\n")
	assert.Contains(t, text, "the certificate of "+namespace+"/idle-0 was due to be renewed by ")
	assert.Contains(t, text, "leaves 1 current · 1 overdue")
	page := a.show(t, "html")
	assert.Contains(t, page, "<small>renewed by "+entry(t, r, "cart").State.Rotated.Format("2006-01-02 15:04"))
	assert.Equal(t, 1, strings.Count(page, "<small>renewed by "), "of idle nothing is said to be renewed")
}

func palisade(t *testing.T, args ...string) (out []byte, notes string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, binary, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	var failed *exec.ExitError
	if err := c.Run(); !errors.As(err, &failed) {
		require.NoError(t, err)
	}
	return stdout.Bytes(), stderr.String(), c.ProcessState.ExitCode()
}

func codes(r *verify.Report) []string {
	list := []string{}
	for i := range r.Findings {
		list = append(list, r.Findings[i].Code)
	}
	return list
}

// found is the finding of a code about a workload, or nil.
func found(r *verify.Report, code, workload string) *model.Finding {
	i := slices.IndexFunc(r.Findings, func(f model.Finding) bool { return f.Code == code && f.Subject.Name == workload })
	if i < 0 {
		return nil
	}
	return &r.Findings[i]
}

// entry is what the ledger has of a workload's one pod.
func entry(t *testing.T, r *verify.Report, workload string) *verify.Entry {
	t.Helper()
	i := slices.IndexFunc(r.Ledger.Entries, func(e verify.Entry) bool { return e.Workload.Name == workload })
	require.GreaterOrEqual(t, i, 0, "the ledger has nothing of %s", workload)
	return &r.Ledger.Entries[i]
}

// passes tells that every port held: it was tried by each client, and each came to what it must.
func passes(t *testing.T, r *verify.Report, workload string) {
	t.Helper()
	i := slices.IndexFunc(r.Results, func(r verify.Result) bool { return r.Workload.Name == workload })
	require.GreaterOrEqual(t, i, 0)
	result := &r.Results[i]
	assert.Equal(t, verify.Pass, result.Verdict, "%s: %s", workload, result.Reason)
}

// shows tells that the ledger's current leaf of a workload is the one its agent has, and who signed it.
func shows(t *testing.T, r *verify.Report, workload string, a *agent, issuer *authority) {
	t.Helper()
	leaf := entry(t, r, workload).Current()
	assert.Equal(t, verify.Fingerprint(a.Leaf().Leaf), leaf.Fingerprint, "%s has another leaf than was seen", workload)
	assert.True(t, leaf.Proves(a.identity), "%v", leaf.Names)
	assert.Equal(t, verify.CertificateOf(issuer.Certificate).KeyID, leaf.IssuerKeyID)
	assert.NotEmpty(t, leaf.Root, leaf.Untrusted)
}
