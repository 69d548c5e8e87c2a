package probe_test

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/lab"
	"floe.dev/palisade/verify/probe"
)

// labVariable makes the test binary a lab of so many strict sidecars, so that the
// time that servers take is not the prober's: "3000 FOLDER".
const labVariable = "PALISADE_BENCH_LAB"

func TestMain(m *testing.M) {
	if asked := os.Getenv(labVariable); asked != "" {
		if err := serveLab(asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serveLab serves until its input ends.
func serveLab(asked string) error {
	number, folder, _ := strings.Cut(asked, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	var specs []lab.Spec
	for i := range n {
		specs = append(specs, lab.Spec{
			Namespace: fmt.Sprintf("ns-%d", i%50), Name: fmt.Sprintf("app-%d", i), Pod: fmt.Sprintf("app-%d-0", i), Way: verify.Sidecar, Mode: lab.Strict, App: lab.Silent,
			Callers: []string{caller(model.MeshIstio)},
		})
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

// census is a lab in another process, and what is needed to try it.
type census struct {
	expected []verify.Expectation
	options  probe.Options
}

func newCensus(t testing.TB, n int) *census {
	t.Helper()
	folder := t.TempDir()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", labVariable, n, folder))
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = input.Close()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	text, err := os.ReadFile(filepath.Join(folder, lab.TargetsFile))
	require.NoError(t, err)
	targets, err := verify.ParseTargets(text)
	require.NoError(t, err)
	equipment, err := probe.Equip(targets, folder)
	require.NoError(t, err)
	return &census{targets.Expectations(), probe.Options{Mesh: model.MeshIstio, Trust: equipment.Trust, Credentials: equipment.Held, Concurrency: 256, Settle: 50 * time.Millisecond, Attempts: 2}}
}

// only keeps the checks of some clients; all where none is named.
func (c *census) only(clients ...verify.Client) []verify.Expectation {
	var list []verify.Expectation
	for _, e := range c.expected {
		var checks []verify.Check
		for _, check := range e.Checks {
			for _, client := range clients {
				if check.Client == client {
					checks = append(checks, check)
				}
			}
		}
		if len(clients) > 0 {
			e.Checks = checks
		}
		list = append(list, e)
	}
	return list
}

// spent is what the process has used so far.
type spent struct {
	cpu    time.Duration
	allocs uint64
}

func spentSoFar(t testing.TB) spent {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return spent{time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), memory.Mallocs}
}

// sweep tries all, demands that all holds, and tells what a probe cost.
func (c *census) sweep(t testing.TB, expected []verify.Expectation) (cpu time.Duration, allocs float64, probes int) {
	t.Helper()
	before := spentSoFar(t)
	seen := probe.Run(t.Context(), expected, c.options).Seen
	after := spentSoFar(t)
	for i := range expected {
		probes += len(expected[i].Checks)
		for _, o := range seen[i].Seen {
			for _, check := range expected[i].Checks {
				if check.Client == o.Client {
					require.Equal(t, verify.Pass, verify.Weigh(&expected[i], check, &o), "%s: %s", check.Client, o.Describe())
				}
			}
		}
	}
	return (after.cpu - before.cpu) / time.Duration(probes), float64(after.allocs-before.allocs) / float64(probes), probes
}

// BenchmarkCensus tries thousands of strict sidecars (ECDSA P-256, TLS 1.3) that run
// in another process. µs/probe is the CPU time of the prober; times-floor is that against
// the crypto that a client cannot do without, measured in the same run.
func BenchmarkCensus(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as palisade verify does
	for _, n := range []int{3000, 10000} {
		c := newCensus(b, n)
		for name, clients := range map[string][]verify.Client{"mTLS": {verify.Member}, "all": nil} {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				expected := c.only(clients...)
				var cpu time.Duration
				var allocs float64
				var peak uint64
				probes := 0
				floor := floorOf(b)
				b.ResetTimer()
				for range b.N {
					stop := watchHeap(&peak)
					cpu, allocs, probes = c.sweep(b, expected)
					stop()
				}
				b.ReportMetric(float64(cpu.Microseconds()), "µs/probe")
				b.ReportMetric(allocs, "allocs/probe")
				b.ReportMetric(float64(probes), "probes")
				b.ReportMetric(float64(peak)/(1<<20), "MiB-heap-peak")
				if name == "mTLS" {
					b.ReportMetric(float64(floor.Microseconds()), "µs-floor")
					b.ReportMetric(float64(cpu)/float64(floor), "times-floor")
				}
			})
		}
	}
}

// watchHeap notes the most that the heap came to, until it is stopped.
func watchHeap(peak *uint64) (stop func()) {
	done, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			*peak = max(*peak, m.HeapInuse)
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(done); <-ended }
}

// floorOf is the CPU time of the crypto of one verified handshake of TLS 1.3, on the client's side:
// a key share and the agreement on it, the check of the server's signature and of
// its leaf's, and a signature of its own.
func floorOf(t testing.TB) time.Duration {
	t.Helper()
	const rounds = 1000
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	peer, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte("transcript"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	require.NoError(t, err)
	before := spentSoFar(t)
	for range rounds {
		share, err := ecdh.X25519().GenerateKey(rand.Reader)
		require.NoError(t, err)
		_, err = share.ECDH(peer.PublicKey())
		require.NoError(t, err)
		require.True(t, ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature))
		require.True(t, ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature))
		_, err = ecdsa.SignASN1(rand.Reader, key, digest[:])
		require.NoError(t, err)
	}
	return (spentSoFar(t).cpu - before.cpu) / rounds
}

// mostAllocations of one verified handshake, with what is recorded of it. crypto/tls alone makes some 500.
const mostAllocations = 900

func TestAHandshakeKeepsToItsAllocations(t *testing.T) {
	c := newCensus(t, 60)
	expected := c.only(verify.Member)
	c.sweep(t, expected) // what is made once
	_, allocs, _ := c.sweep(t, expected)
	require.Less(t, allocs, float64(mostAllocations))
	t.Logf("%.0f allocations a handshake", allocs)
}
