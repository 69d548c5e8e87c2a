package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// name is that of the Kind cluster.
const name = "palisade-e2e"

// harness knows where everything is, and what the steps before found out.
type harness struct {
	// repository is the clone; cache outlasts it, and run only what is running.
	repository, cache, run string
	progress               io.Writer

	// debian holds the unpacked packages.
	debian string

	// Filled by the steps.

	// root is the tar of the node's root.
	root string
	// parts holds the programs by name.
	parts map[string]string
	// node is the reference of the node's image.
	node string
	// docker is the process in whose namespaces dockerd runs.
	docker process
}

func newHarness(progress io.Writer) (*harness, error) {
	gomod, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "floe.dev/palisade").Output()
	if err != nil {
		return nil, fmt.Errorf("finding the clone (run from its folder e2e): %w", err)
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	cache := filepath.Join(caches, "palisade", "e2e-cluster")
	return &harness{
		repository: strings.TrimSpace(string(gomod)), cache: cache, run: filepath.Join(cache, "run"),
		debian:   filepath.Join(cache, "debian-"+key(append(hostPackages, release)...)),
		progress: progress, parts: map[string]string{},
	}, nil
}

// A step is one thing that must be so before the next. It does nothing where it is so already.
type step struct {
	name string
	do   func(*harness, context.Context) error
}

var steps = []step{
	{"unpack Docker and its tools, from Debian", (*harness).unpackDebian},
	{"root of the node, from Debian", (*harness).makeRoot},
	{"programs, from Go modules", (*harness).buildParts},
	{"dockerd in namespaces of its own", (*harness).startDocker},
	{"image of the node", (*harness).makeNode},
	{"Kind cluster", (*harness).createCluster},
	{"NetworkPolicies are enforced", (*harness).enforcePolicies},
	{"image of palisade", (*harness).loadPalisade},
	{"palisade, by its chart", (*harness).installPalisade},
}

func (h *harness) up(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("it takes root to make namespaces and mounts")
	}
	if err := os.MkdirAll(h.run, 0o700); err != nil {
		return err
	}
	begun := time.Now()
	for i, s := range steps {
		start := time.Now()
		h.say("%d/%d %s ...", i+1, len(steps), s.name)
		if err := s.do(h, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		h.say("%d/%d %s: %.1f s", i+1, len(steps), s.name, time.Since(start).Seconds())
	}
	h.say("up after %.0f s; kubectl through: cluster exec -- kubectl ...", time.Since(begun).Seconds())
	return nil
}

func (h *harness) say(format string, args ...any) {
	_, _ = fmt.Fprintf(h.progress, "cluster: "+format+"\n", args...)
}

// lock keeps a second harness out until unlock is called, or this one ends.
func (h *harness) lock() (unlock func(), err error) {
	if err := os.MkdirAll(h.cache, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(h.cache+".lock", os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(errors.New("another harness is at work"), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// command is a command that sees the harness's own Docker, kubectl and cluster.
func (h *harness) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, program, args...)
	c.Env = append(os.Environ(),
		"PATH="+strings.Join([]string{h.tools(), filepath.Join(h.debian, "usr/bin"), os.Getenv("PATH")}, ":"),
		"DOCKER_HOST=unix://"+h.socket(),
		"DOCKER_CONFIG="+filepath.Join(h.run, "docker"),
		"KUBECONFIG="+h.kubeconfig(), "PALISADE_E2E_KUBECONFIG="+h.kubeconfig(),
	)
	return c
}

// output runs a command and returns what it printed; the error tells what it complained of.
func output(c *exec.Cmd) (string, error) {
	var complaint strings.Builder
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(c.Path), strings.Join(c.Args[1:], " "), err, tail(string(out)+complaint.String(), 30))
	}
	return strings.TrimSpace(string(out)), nil
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// entered is a command in the network of the cluster.
func (h *harness) entered(ctx context.Context, program string, args ...string) (*exec.Cmd, error) {
	docker, err := h.running()
	if err != nil {
		return nil, err
	}
	network := fmt.Sprintf("--net=/proc/%d/ns/net", docker.PID)
	c := h.command(ctx, "nsenter", append([]string{network, "--", program}, args...)...)
	return c, nil
}

func (h *harness) exec(ctx context.Context, args []string) error {
	c, err := h.entered(ctx, args[0], args[1:]...)
	if err != nil {
		return err
	}
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return c.Run()
}

// tools is a folder with links to programs that commands of exec find in their PATH.
func (h *harness) tools() string      { return filepath.Join(h.run, "bin") }
func (h *harness) socket() string     { return filepath.Join(h.run, "docker.sock") }
func (h *harness) kubeconfig() string { return filepath.Join(h.run, "kubeconfig") }

// cgroup is that below which the containers are. Harnesses with other caches have others, and run side by side.
func (h *harness) cgroup() string { return name + "-" + key(h.run)[:6] }
