package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// wire proves mTLS by handshakes, and finds a downgrade that no object shows.
func (d *demo) wire(ctx context.Context) error {
	d.step("Does it hold on the wire?", `
		Objects say what is wanted; handshakes show what is. bin/lab stands in for the proxies of ten pods, on loopback addresses, each with a
		certificate. verify tries every port: without TLS, without a certificate, with a foreign one, with one that has expired, as a stranger, as a caller.`)
	l, err := d.startLab(ctx)
	if err != nil {
		return err
	}
	defer l.stop()
	report := filepath.Join(d.folder, "report.json")
	args := []string{"verify", "--direct", "--requests", "--targets", l.targets, "--timeout", "1s", "--attempts", "1"}
	out, err := d.palisade(ctx, cut{first: 7, last: 1}, 0, args...)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(out, "Verification: HOLDS") {
		return errors.New("the verification does not hold")
	}
	d.seen("green: every port refuses what it must, and takes what it must")

	d.say("\nNow a downgrade is planted, behind everybody's back:")
	answer, err := l.ask("relax floe-platform/polaris")
	if err != nil {
		return err
	}
	d.say("  lab: %s", answer)
	if _, err := d.palisade(ctx, cut{file: report}, 1, append(args, "-o", "json")...); err != nil {
		return err
	}
	out, err = d.palisade(ctx, cut{first: 9, last: 1, more: "make demo KEEP=1, and this command in another terminal"}, 0, "report", report)
	if err != nil {
		return err
	}
	for _, part := range []string{"Verification: BROKEN", "error PlaintextOnStrictPort (1)", "Deployment floe-platform/polaris: port 8181 of both pods"} {
		if !strings.Contains(out, part) {
			return fmt.Errorf("the report does not say %q", part)
		}
	}
	d.seen("red: plaintext is let in at floe-platform/polaris, and nowhere else")
	return d.page(ctx, report)
}

// page makes the page for an auditor.
func (d *demo) page(ctx context.Context, report string) error {
	file := filepath.Join(d.folder, "report.html")
	if _, err := d.palisade(ctx, cut{file: file}, 0, "report", report, "-o", "html"); err != nil {
		return err
	}
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !strings.Contains(string(page), "<title>Verification: broken</title>") {
		return errors.New("the page does not say that the verification is broken")
	}
	d.seen("one page for the auditor, %d kB, that asks nothing of any server (gone with the demo; make demo KEEP=1 keeps it until Ctrl-C)", len(page)/1000)
	return nil
}

// mesh is bin/lab at work.
type mesh struct {
	process *controller
	targets string
	answers *bufio.Reader
	orders  io.WriteCloser
}

func (d *demo) startLab(ctx context.Context) (*mesh, error) {
	command := d.command(context.WithoutCancel(ctx), d.lab, "-sound", "-commands", filepath.Join(d.folder, "lab"))
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l := &mesh{answers: bufio.NewReader(out)}
	if l.orders, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	d.typed("bin/lab -sound -commands " + filepath.Join(d.folder, "lab") + " &")
	if l.process, err = launch(command); err != nil {
		return nil, err
	}
	if l.targets, err = l.line(); err != nil {
		l.stop()
		return nil, fmt.Errorf("starting the lab: %w: %s", err, l.process.log())
	}
	return l, nil
}

// line is the next that the lab says.
func (l *mesh) line() (string, error) {
	timer := time.AfterFunc(10*time.Second, func() { _ = l.process.command.Process.Kill() }) // reading ends with it
	defer timer.Stop()
	text, err := l.answers.ReadString('\n')
	return strings.TrimSpace(text), err
}

// ask gives an order, and returns the answer.
func (l *mesh) ask(order string) (string, error) {
	if _, err := fmt.Fprintln(l.orders, order); err != nil {
		return "", err
	}
	return l.line()
}

func (l *mesh) stop() {
	_ = l.process.stop() // what it told was read
}
