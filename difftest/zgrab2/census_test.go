package zgrab2_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/lab"
	"floe.dev/palisade/verify/probe"
)

const (
	// partVariable makes the test binary one part of the measurement: "lab N FOLDER" or "probe FOLDER".
	partVariable = "PALISADE_ZGRAB2_PART"
	// port of every server, since zgrab2 has one for all.
	port    = 18443
	workers = 100
	caller  = lab.TrustDomain + "/ns/lab/sa/caller"
)

func TestMain(m *testing.M) {
	part := strings.Fields(os.Getenv(partVariable))
	var err error
	switch {
	case len(part) == 0:
		os.Exit(m.Run())
	case part[0] == "lab":
		err = serve(part[1], part[2])
	default:
		err = try(part[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve is a lab of strict servers, until its input ends.
func serve(number, folder string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	var specs []lab.Spec
	for i := range n {
		specs = append(specs, lab.Spec{Namespace: "lab", Name: fmt.Sprintf("app-%d", i), Port: port, Way: verify.Sidecar, Mode: lab.Strict, App: lab.Silent, Callers: []string{caller}})
	}
	l, err := lab.Start(model.MeshIstio, specs)
	if err != nil {
		return err
	}
	if err := l.Write(context.Background(), folder); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// expected are the mTLS probes of a lab.
func expected(folder string) ([]verify.Expectation, *probe.Equipment, error) {
	text, err := os.ReadFile(filepath.Join(folder, lab.TargetsFile))
	if err != nil {
		return nil, nil, err
	}
	targets, err := verify.ParseTargets(text)
	if err != nil {
		return nil, nil, err
	}
	equipment, err := probe.Equip(targets, folder)
	list := targets.Expectations()
	for i := range list {
		list[i].Checks = []verify.Check{{Client: verify.Member, Identity: caller, Want: verify.Admitted}}
	}
	return list, equipment, err
}

// try is our side: mTLS with the chain and the name checked, and the outcome judged.
func try(folder string) error {
	list, equipment, err := expected(folder)
	if err != nil {
		return err
	}
	debug.SetGCPercent(400) // as palisade verify does
	before, began := used(), time.Now()
	sweep := probe.Run(context.Background(), list, probe.Options{Mesh: model.MeshIstio, Trust: equipment.Trust, Credentials: equipment.Held, Concurrency: workers, Settle: 20 * time.Millisecond})
	for i := range list {
		if r := verify.Judge(&list[i], &sweep.Seen[i]); r.Verdict != verify.Pass {
			return fmt.Errorf("%s: %s", &list[i].Target, r.Reason)
		}
	}
	fmt.Println(int64(used()-before), int64(time.Since(began)))
	return nil
}

// used is the CPU time of the process.
func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkBesideZgrab2 runs both in turn on the same 3,000 servers, each in a process of its own.
// zgrab2 shakes hands by TLS 1.2 without a certificate, and writes what it saw;
// ours by TLS 1.3 with one, and checks chain, name and admission. Of ours the reading of
// the targets is left out, for zgrab2 has a list of addresses.
func BenchmarkBesideZgrab2(b *testing.B) {
	const n = 3000
	folder := b.TempDir()
	binary := filepath.Join(folder, "zgrab2")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/zmap/zgrab2/cmd/zgrab2").CombinedOutput(); err != nil {
		b.Fatalf("building zgrab2: %v\n%s", err, out)
	}
	startLab(b, n, folder)
	list, _, err := expected(folder)
	if err != nil {
		b.Fatal(err)
	}
	var addresses strings.Builder
	for i := range list {
		fmt.Fprintln(&addresses, list[i].Address)
	}
	input := filepath.Join(folder, "addresses.csv")
	if err := os.WriteFile(input, []byte(addresses.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	var theirs, ours, theirWall, ourWall time.Duration
	for range b.N {
		cpu, wall := spent(b, exec.Command(binary, "tls", "--port", strconv.Itoa(port), "-f", input, "-o", filepath.Join(folder, "out.json"), "-s", strconv.Itoa(workers), "--metadata-file=/dev/null", "--log-file=/dev/null"))
		theirs, theirWall = theirs+cpu, theirWall+wall
		cpu, wall = ownSpent(b, folder)
		ours, ourWall = ours+cpu, ourWall+wall
	}
	grabbed, err := os.ReadFile(filepath.Join(folder, "out.json"))
	if err != nil {
		b.Fatal(err)
	}
	if seen := strings.Count(string(grabbed), `"server_certificates"`); seen != n {
		b.Fatalf("zgrab2 saw %d certificates of %d", seen, n)
	}
	per := time.Duration(b.N * n)
	b.ReportMetric(float64((theirs / per).Microseconds()), "µs-zgrab2")
	b.ReportMetric(float64((ours / per).Microseconds()), "µs-ours")
	b.ReportMetric(float64(theirs)/float64(ours), "times-cpu")
	b.ReportMetric(float64(theirWall)/float64(ourWall), "times-wall")
}

func startLab(b *testing.B, n int, folder string) {
	b.Helper()
	command := exec.Command(os.Args[0])
	command.Env, command.Stderr = append(os.Environ(), fmt.Sprintf("%s=lab %d %s", partVariable, n, folder)), os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = input.Close()
		_ = command.Wait()
	})
	if line, err := bufio.NewReader(output).ReadString('\n'); line != "ready\n" {
		b.Fatalf("the lab said %q: %v", line, err)
	}
}

// ownSpent runs our side, which tells itself what probing and judging took.
func ownSpent(b *testing.B, folder string) (cpu, wall time.Duration) {
	b.Helper()
	command := exec.Command(os.Args[0])
	command.Env, command.Stderr = append(os.Environ(), partVariable+"=probe "+folder), os.Stderr
	out, err := command.Output()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Sscan(string(out), &cpu, &wall); err != nil {
		b.Fatalf("%v: %q", err, out)
	}
	return cpu, wall
}

// spent runs a command, and tells its CPU and wall time.
func spent(b *testing.B, command *exec.Cmd) (cpu, wall time.Duration) {
	b.Helper()
	command.Stderr = os.Stderr
	began := time.Now()
	if err := command.Run(); err != nil {
		b.Fatal(err)
	}
	return command.ProcessState.UserTime() + command.ProcessState.SystemTime(), time.Since(began)
}
