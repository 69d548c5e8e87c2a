package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// screen is what the user sees.
type screen struct {
	out     io.Writer
	colored bool
	began   time.Time
	// what names the step under way, since when.
	what  string
	since time.Time
	steps []string
}

// Escape sequences for emphasis on a terminal.
const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	plain = "\x1b[0m"
)

// newScreen colours on a terminal, unless NO_COLOR (https://no-color.org) is set.
func newScreen(out *os.File) *screen {
	info, err := out.Stat()
	colored := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return &screen{out: out, colored: colored, began: time.Now()}
}

func (s *screen) styled(style, text string) string {
	if !s.colored {
		return text
	}
	return style + text + plain
}

func (s *screen) line(text string) { _, _ = fmt.Fprintln(s.out, text) }

// step begins a step, told in plain words.
func (s *screen) step(what, words string) {
	s.done()
	s.what, s.since = what, time.Now()
	s.line("\n" + s.styled(bold, fmt.Sprintf("%d. %s", len(s.steps)+1, what)))
	for line := range strings.Lines(strings.TrimSpace(words)) {
		s.line("   " + strings.TrimSpace(line))
	}
	s.line("")
}

// done notes how long the step under way took.
func (s *screen) done() {
	if s.what != "" {
		s.steps = append(s.steps, fmt.Sprintf("%6.1f s  %s", time.Since(s.since).Seconds(), s.what))
	}
	s.what = ""
}

// times tells how long everything took.
func (s *screen) times() {
	s.done()
	s.line("")
	for _, line := range s.steps {
		s.line(s.styled(dim, line))
	}
	s.line(s.styled(dim, fmt.Sprintf("%6.1f s  in all", time.Since(s.began).Seconds())))
}

// typed shows a command as a user would type it.
func (s *screen) typed(command string) { s.line(s.styled(bold, "$ "+command)) }

// say shows a line of what happens.
func (s *screen) say(format string, args ...any) { s.line(fmt.Sprintf(format, args...)) }

// seen shows something that was waited for, and when it came.
func (s *screen) seen(format string, args ...any) {
	s.line(s.styled(bold, "✓ "+fmt.Sprintf(format, args...)))
}

// palisade runs the built binary, shows the command and its output, and demands an exit code.
// Of long output, the first and the last lines are shown; more says how to see all.
func (d *demo) palisade(ctx context.Context, c cut, code int, args ...string) (string, error) {
	d.typed("bin/palisade " + strings.Join(args, " ") + c.redirected())
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	command := d.command(ctx, d.binary, args...)
	var out, prose bytes.Buffer
	command.Stdout, command.Stderr = &out, &prose
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", fmt.Errorf("palisade %s: %w", args[0], err)
	}
	if c.file != "" {
		if err := os.WriteFile(c.file, out.Bytes(), 0o600); err != nil {
			return "", err
		}
	} else {
		d.show(out.String(), c)
	}
	if prose.Len() > 0 {
		d.show(prose.String(), cut{})
	}
	if is := command.ProcessState.ExitCode(); is != code {
		return "", fmt.Errorf("palisade %s ended with exit code %d, and %d was expected", args[0], is, code)
	}
	if code != 0 {
		d.line(d.styled(dim, fmt.Sprintf("(exit code %d)", code)))
	}
	return out.String(), nil
}

// command prepares a command that runs in the clone, with the kubeconfig of the demo.
func (d *demo) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = d.root
	command.Env = append(os.Environ(), "KUBECONFIG="+d.kubeconfig, "NO_COLOR=1")
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 5 * time.Second
	return command
}

// cut is how much of an output is shown.
type cut struct {
	// first and last are how many lines of its beginning and end; all, where both are 0.
	first, last int
	// keep begins a passage of the middle that is shown as well, kept how many lines it has.
	keep string
	kept int
	more string
	// file takes the output in place of the screen.
	file string
}

func (c cut) redirected() string {
	if c.file == "" {
		return ""
	}
	return " > " + c.file
}

// show shows an output, cut where it is long.
func (s *screen) show(text string, c cut) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	left := len(lines) - c.first - c.last
	if c.first+c.last == 0 || left <= 1 {
		c.first, c.last, left = len(lines), 0, 0
	}
	middle := lines[c.first : len(lines)-c.last]
	from := 0
	if c.keep != "" {
		from = slices.IndexFunc(middle, func(line string) bool { return strings.HasPrefix(line, c.keep) })
	}
	s.lines(lines[:c.first])
	if left > 0 {
		note := fmt.Sprintf("  … %d lines more", left-c.kept)
		if c.more != "" {
			note += "; to see all: " + c.more
		}
		s.line(s.styled(dim, note))
	}
	if c.keep != "" && from >= 0 {
		s.lines(middle[from:min(len(middle), from+c.kept)])
		s.line(s.styled(dim, "  …"))
	}
	s.lines(lines[len(lines)-c.last:])
}

// widest is how long lines get, in characters.
const widest = 220

func (s *screen) lines(list []string) {
	for _, line := range list {
		if runes := []rune(line); len(runes) > widest {
			line = string(runes[:widest]) + " …"
		}
		s.line("  " + line)
	}
}
