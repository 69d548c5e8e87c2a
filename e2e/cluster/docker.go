package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

//go:embed hold
var hold []byte

//go:embed node/runc-bounded
var runcBounded []byte

// process is one process of the host. A number alone is given to others again in time.
type process struct {
	PID int `json:"pid"`
	// Start is when it started, in clock ticks since the host did: proc(5), stat, field 22.
	Start uint64 `json:"start"`
}

func identify(pid int) (process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	start, err := startOf(stat)
	return process{PID: pid, Start: start}, err
}

// startOf reads field 22 of stat; the second, the name in parentheses, may hold anything.
func startOf(stat []byte) (uint64, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || fields[0][0] == 'Z' {
		return 0, errors.New("not the stat of a process that runs")
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

func (p process) alive() bool {
	now, err := identify(p.PID)
	return err == nil && now == p
}

func (h *harness) record() string { return filepath.Join(h.run, "process.json") }

// running is the process in whose namespaces dockerd runs.
func (h *harness) running() (process, error) {
	var p process
	text, err := os.ReadFile(h.record())
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || !p.alive() {
		return process{}, errors.New("no cluster is up: make e2e-cluster")
	}
	return p, nil
}

func (h *harness) startDocker(ctx context.Context) error {
	var err error
	if h.docker, err = h.running(); err == nil {
		return h.waitForDocker(ctx)
	}
	bounded := filepath.Join(h.run, "runc-bounded")
	script := filepath.Join(h.run, "hold")
	if err := errors.Join(os.WriteFile(bounded, runcBounded, 0o755), os.WriteFile(script, hold, 0o755)); err != nil {
		return err
	}
	log, err := os.Create(h.dockerLog())
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	// Not bound to ctx: it outlasts this command.
	c := exec.Command("/bin/bash", script, h.debian, filepath.Join(h.cache, "docker"), h.run, h.cgroup())
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET}
	if err := c.Start(); err != nil {
		return err
	}
	if h.docker, err = identify(c.Process.Pid); err != nil {
		return errors.Join(err, c.Process.Kill())
	}
	text, err := json.Marshal(h.docker)
	if err != nil {
		return err
	}
	if err := os.WriteFile(h.record(), text, 0o600); err != nil {
		return errors.Join(err, c.Process.Kill())
	}
	go func() { _ = c.Wait() }() // reaped while we are here; then it is init's
	return h.waitForDocker(ctx)
}

func (h *harness) dockerLog() string { return filepath.Join(h.cache, "dockerd.log") }

func (h *harness) waitForDocker(ctx context.Context) error {
	err := await(ctx, time.Minute, func() error {
		if !h.docker.alive() {
			return errEnded
		}
		_, err := output(h.command(ctx, "docker", "version", "--format", "{{.Server.Version}}"))
		return err
	})
	if err != nil {
		log, _ := os.ReadFile(h.dockerLog())
		return fmt.Errorf("%w\n%s", err, tail(string(log), 20))
	}
	return nil
}

// errEnded ends a wait that would be in vain.
var errEnded = errors.New("the process has ended")

// await tries until try succeeds, or tells for how long it waited in vain for what.
func await(ctx context.Context, limit time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := try()
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still not so after %v: %w", limit, err)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// down stops what up started. It is no error if nothing runs.
func (h *harness) down(ctx context.Context) error {
	docker, err := h.running()
	if err != nil {
		h.say("nothing runs")
		return errors.Join(removeCgroups(h.cgroup()), os.RemoveAll(h.run))
	}
	// In order first, so that Docker's folder stays whole and small; whatever comes of it, the end comes.
	if err := h.deleteCluster(ctx); err != nil {
		h.say("%v", err)
	}
	if err := syscall.Kill(docker.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping dockerd: %w", err)
	}
	ended := func() error {
		if docker.alive() {
			return fmt.Errorf("process %d runs", docker.PID)
		}
		return nil
	}
	if err := await(ctx, 30*time.Second, ended); err != nil {
		h.say("dockerd does not end in order (%v); killing its namespaces", err)
		if err := syscall.Kill(docker.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("killing dockerd's namespaces: %w", err)
		}
		if err := await(ctx, 30*time.Second, ended); err != nil {
			return err
		}
	}
	h.say("dockerd, and with its namespaces every container, mount and interface, has ended")
	return errors.Join(removeCgroups(h.cgroup()), os.RemoveAll(h.run))
}

// purge is down, and removes what was built.
func (h *harness) purge(ctx context.Context) error {
	if err := h.down(ctx); err != nil {
		return err
	}
	return os.RemoveAll(h.cache)
}

// removeCgroups removes the cgroups of containers that are gone, from the leaves up. Those of others have another name.
func removeCgroups(cgroup string) error {
	var folders []string
	for _, pattern := range []string{"/sys/fs/cgroup/" + cgroup, "/sys/fs/cgroup/*/" + cgroup} {
		roots, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, root := range roots {
			err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					folders = append(folders, path)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	var err error
	for _, folder := range slices.Backward(folders) {
		if e := os.Remove(folder); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
