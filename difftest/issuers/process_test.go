package issuers

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a program that runs, and what it has logged.
type process struct {
	name   string
	end    func()
	mu     sync.Mutex
	lines  []string
	logged chan struct{} // closed, and made anew, with every line
	gone   bool
}

// launch starts a program of a CA; it ends with the test, or before.
func launch(t *testing.T, folder string, env []string, name string, args ...string) *process {
	t.Helper()
	c := exec.Command(filepath.Join(programs, name), args...)
	c.Dir, c.Env = folder, append(os.Environ(), env...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	read, write, err := os.Pipe()
	require.NoError(t, err)
	c.Stdout, c.Stderr = write, write
	p := &process{name: name, logged: make(chan struct{})}
	require.NoError(t, c.Start())
	require.NoError(t, write.Close())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.read(read)
		_ = c.Wait() // it is killed
	}()
	p.end = sync.OnceFunc(func() {
		_ = c.Process.Kill()
		<-done
	})
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			p.tell(t)
		}
	})
	return p
}

func (p *process) read(from io.ReadCloser) {
	defer func() { _ = from.Close() }() // only read
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.add(lines.Text(), false)
	}
	p.add("(it has ended)", true)
}

func (p *process) add(line string, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	p.gone = last
	close(p.logged)
	p.logged = make(chan struct{})
}

// tell writes the end of the log.
func (p *process) tell(t *testing.T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines[max(0, len(p.lines)-60):] {
		t.Log(p.name+":", line)
	}
}

// length is how much it has logged.
func (p *process) length() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// await waits until it logs something after a line, and gives what the pattern's group holds.
func (p *process) await(t *testing.T, after int, pattern string) string {
	t.Helper()
	wanted := regexp.MustCompile(pattern)
	limit := time.After(time.Minute)
	for {
		p.mu.Lock()
		lines, logged, gone := slices.Clone(p.lines[after:]), p.logged, p.gone
		p.mu.Unlock()
		for _, line := range lines {
			if m := wanted.FindStringSubmatch(line); m != nil {
				return m[len(m)-1]
			}
		}
		require.False(t, gone, "%s ended before it logged %q", p.name, pattern)
		select {
		case <-logged:
		case <-limit:
			require.Fail(t, p.name+" did not log in time: "+pattern)
		}
	}
}
