package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/verify"
)

// What a verification in a Job writes, line by line, beside what it says to people. The log of a pod holds little
// and mixes both outputs, so the report comes packed.
const (
	relayProgress = "palisade-progress "
	relayReport   = "palisade-report "
	relayEnd      = "palisade-end"
	// relayWidth is how long a line of the packed report is, and maxPacked how long all of them are, in bytes.
	relayWidth = 8 << 10
	maxPacked  = 64 << 20
)

// jobDeadline ends a verification that does not come to its end.
const jobDeadline = 30 * time.Minute

// checkJob refuses what a Job cannot have.
func (o *verifyOptions) checkJob() error {
	switch {
	case !o.job:
		if o.image != "" {
			return errors.New("--image goes with --job")
		}
		return nil
	case o.direct:
		return errors.New("--job and --direct are two ways to run: from a pod, and from here")
	case o.targets != "" || len(o.files) > 0 || len(o.roots) > 0 || len(o.identities) > 0 || o.before != "":
		return errors.New("--job takes no files: a pod cannot read them")
	default:
		return nil
	}
}

// runJob verifies from a pod in the cluster, and shows its report here.
func (o *verifyOptions) runJob(ctx context.Context, s streams) (*verify.Report, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	shown := newProgress(s.err)
	defer shown.end()
	shown.tell("waiting for the pod of the Job")
	var packed strings.Builder
	var said []string
	ended := false
	err = cluster.RunJob(ctx, config, cluster.Job{
		Namespace: o.home, ServiceAccount: "palisade", Image: o.image, Args: o.jobArgs(), Deadline: jobDeadline,
	}, func(line string) error {
		switch {
		case strings.HasPrefix(line, relayProgress):
			shown.tell("trying ports: " + strings.TrimPrefix(line, relayProgress))
		case strings.HasPrefix(line, relayReport):
			packed.WriteString(strings.TrimPrefix(line, relayReport))
			if packed.Len() > maxPacked {
				return errors.New("the report of the Job is too long")
			}
		case line == relayEnd:
			ended = true
		case len(said) < 20:
			said = append(said, line)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !ended {
		return nil, fmt.Errorf("the Job came to no report. It said:\n%s", strings.Join(said, "\n"))
	}
	shown.end()
	return unpack(packed.String())
}

// jobArgs are the arguments of the verification in the pod.
func (o *verifyOptions) jobArgs() []string {
	args := []string{
		"verify", "--direct", "--relay",
		"--concurrency=" + strconv.Itoa(o.probing.Concurrency), "--rate=" + strconv.FormatFloat(o.probing.Rate, 'g', -1, 64),
		"--timeout=" + o.probing.Timeout.String(), "--attempts=" + strconv.Itoa(o.probing.Attempts),
	}
	for _, f := range []struct{ flag, value string }{
		{"prober", o.prober}, {"ca", o.ca}, {"mesh", o.given.Mesh}, {"mesh-mode", o.given.MeshMode}, {"mesh-namespace", o.given.MeshNamespace},
		{"trust-domain", o.given.TrustDomain}, {"cluster-domain", o.given.ClusterDomain}, {"linkerd-transport", o.given.LinkerdTransport}, {"at", o.at},
	} {
		if f.value != "" {
			args = append(args, "--"+f.flag+"="+f.value)
		}
	}
	for flag, set := range map[string]bool{"callers": o.callers, "requests": o.requests, "store": o.store} {
		if set {
			args = append(args, "--"+flag)
		}
	}
	for _, f := range []struct {
		flag   string
		values []string
	}{
		{"only", o.only}, {"ports", o.ports}, {"pod-cidr", o.given.PodCIDRs}, {"service-cidr", o.given.ServiceCIDRs},
		{"node-cidr", o.given.NodeCIDRs}, {"dns-server", o.given.DNSServers}, {"api-server", o.given.APIServers},
	} {
		for _, value := range f.values {
			args = append(args, "--"+f.flag+"="+value)
		}
	}
	return args
}

// relayed writes a report for whoever follows the log.
func relayed(w io.Writer, r *verify.Report) error {
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	if err := errors.Join(json.NewEncoder(zipped).Encode(r), zipped.Close()); err != nil {
		return err
	}
	text := base64.StdEncoding.EncodeToString(packed.Bytes())
	var out strings.Builder
	for len(text) > 0 {
		width := min(relayWidth, len(text))
		out.WriteString(relayReport + text[:width] + "\n")
		text = text[width:]
	}
	out.WriteString(relayEnd + "\n")
	_, err := io.WriteString(w, out.String())
	return err
}

// unpack reads what relayed wrote.
func unpack(text string) (*verify.Report, error) {
	const most = 1 << 30
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("reading the report of the Job: %w", err)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("reading the report of the Job: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(zipped, most))
	if err != nil {
		return nil, fmt.Errorf("reading the report of the Job: %w", err)
	}
	r, err := verify.ParseReport(data)
	if err != nil {
		return nil, fmt.Errorf("reading the report of the Job: %w", err)
	}
	return r, nil
}
