package main

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// controller is `palisade controller` at work.
type controller struct {
	command *exec.Cmd
	output  tail
	ended   chan struct{}
}

// tail keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	data []byte
}

// mostKept is how many bytes a tail keeps.
const mostKept = 8 << 10

// Write keeps the end.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	t.data = bytes.Clone(t.data[max(0, len(t.data)-mostKept):])
	return len(p), nil
}

// launch starts a command that runs until it is stopped.
func launch(command *exec.Cmd) (*controller, error) {
	c := &controller{command: command, ended: make(chan struct{})}
	command.Stderr = &c.output
	// Ctrl-C is for the demo, which ends it in order.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = command.Wait() // stop tells how it ended
		close(c.ended)
	}()
	return c, nil
}

// stop ends it in order; nil is one that was never started.
func (c *controller) stop() error {
	if c == nil {
		return nil
	}
	_ = c.command.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-c.ended:
	case <-time.After(10 * time.Second):
		_ = c.command.Process.Kill() // the same
		<-c.ended
		return errors.New("the controller did not end in 10 s, and was killed")
	}
	if code := c.command.ProcessState.ExitCode(); code != 0 {
		return errors.New("the controller ended with " + c.command.ProcessState.String())
	}
	return nil
}

// log is the end of what it said.
func (c *controller) log() string {
	if c == nil {
		return ""
	}
	c.output.mu.Lock()
	defer c.output.mu.Unlock()
	lines := strings.SplitAfter(string(c.output.data), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "")
}
