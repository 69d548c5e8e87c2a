package controller

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// crowd makes namespaces, each with a server that the next one's clients call, and then has them governed.
func (l *lab) crowd(count int) []string {
	l.Helper()
	var names []string
	for i := range count {
		home := fmt.Sprintf("%s-n%d", l.name, i)
		l.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + home + "}")
		l.apply(fmt.Sprintf(`
apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata: {name: api, namespace: %s}
spec:
  to: {matchLabels: {app: api}}
  from: [{pods: {namespace: LAB-n%d}}, {pods: {podSelector: {matchLabels: {app: web}}}}]
  ports: [{port: 9000}]
`, home, (i+1)%count))
		names = append(names, home)
	}
	for i := range count {
		l.namespace(fmt.Sprintf("n%d", i))
	}
	return names
}

// deny is the policy that closes a namespace.
const deny = "palisade-default"

// inOrder holds what was seen of each namespace to the order of writes: whatever was made before it closed came before, and
// nothing is made twice.
func (l *lab) inOrder(events []seen) {
	l.Helper()
	made := map[string]int{}
	closed := map[string]bool{}
	for _, e := range events {
		o := e.object
		if o.GetKind() != "NetworkPolicy" {
			continue
		}
		id := o.GetNamespace() + "/" + o.GetName()
		switch e.what {
		case watch.Added:
			made[id]++
			assert.False(l, closed[o.GetNamespace()], "%s allows, and came after what denies", id)
			closed[o.GetNamespace()] = closed[o.GetNamespace()] || o.GetName() == deny
		case watch.Modified:
			assert.Failf(l, "written twice", "%s", e)
		}
	}
	for id, times := range made {
		assert.Equal(l, 1, times, "%s was made more than once", id)
	}
}

func TestAnotherReplicaTakesOverAndNothingIsWrittenTwice(t *testing.T) {
	l := newLab(t)
	w := l.watch(networkPolicies)
	l.apply(plain)
	first := l.controller("--leader-elect=true")
	l.eventually(20*time.Second, l.condition(profiles, "", l.name, "Ready", "True"))
	second := l.controller("--leader-elect=true")
	l.eventually(20*time.Second, func() string {
		if !strings.Contains(second.log.String(), "Attempting to acquire leader lease") {
			return "the second replica does not wait for the lease"
		}
		return ""
	})
	names := l.crowd(20)
	first.kill() // while it writes
	began := time.Now()
	for _, home := range names {
		l.eventually(20*time.Second-time.Since(began), l.governed(home))
	}
	t.Logf("taken over, and all governed, %s after the leader was killed", time.Since(began))
	l.inOrder(w.all())
	w.forget()
	time.Sleep(3 * time.Second)
	assert.Empty(t, w.all())
	assert.NotContains(t, second.log.String(), "panic")
}

func TestALeaderThatEndsInOrderHandsOverAtOnce(t *testing.T) {
	l := newLab(t)
	l.apply(plain)
	first := l.controller("--leader-elect=true")
	l.eventually(40*time.Second, l.condition(profiles, "", l.name, "Ready", "True"))
	l.controller("--leader-elect=true")
	time.Sleep(time.Second)
	first.stop()
	home := l.namespace("home")
	t.Logf("governed %s after the leader ended", l.eventually(8*time.Second, l.governed(home)))
}

func TestAServerThatDiesMidApplyIsComeBackTo(t *testing.T) {
	l := newLab(t)
	names := l.crowd(20)
	l.controller()
	l.apply(plain)
	l.eventually(20*time.Second, func() string {
		count := 0
		for _, home := range names {
			count += len(l.names(networkPolicies, home))
		}
		if count < 15 {
			return fmt.Sprintf("only %d policies", count)
		}
		return ""
	})
	require.NoError(t, plane.KillServer())
	time.Sleep(2 * time.Second)
	require.NoError(t, plane.StartServer())
	began := time.Now()
	for _, home := range names {
		l.eventually(time.Minute, l.governed(home))
	}
	t.Logf("all governed %s after the server was there again", time.Since(began))
	for _, home := range names {
		policies := l.list(networkPolicies, home)
		require.NotEmpty(t, policies)
		slices.SortFunc(policies, func(a, b object) int {
			return strings.Compare(fmt.Sprintf("%20s", a.GetResourceVersion()), fmt.Sprintf("%20s", b.GetResourceVersion()))
		})
		assert.Equal(t, deny, policies[len(policies)-1].GetName(), "what denies was written last")
		for _, p := range policies {
			assert.EqualValues(t, 1, p.GetGeneration(), "%s/%s was written twice", home, p.GetName())
		}
	}
}

// spoiler is an API server that answers badly: a proxy before the real one.
type spoiler struct {
	forward http.RoundTripper
	target  string
	// spoils is how many of a hundred requests go wrong.
	spoils atomic.Int32
	// begins hides custom resources, late has rules listed after seconds only.
	begins, late atomic.Bool
	counts       sync.Map
	lock         sync.Mutex
	random       *rand.Rand
}

func newSpoiler(t *testing.T, seed uint64) (*spoiler, string) {
	t.Helper()
	transport, err := rest.TransportFor(plane.Config)
	require.NoError(t, err)
	host, _, err := rest.DefaultServerUrlFor(plane.Config)
	require.NoError(t, err)
	s := &spoiler{forward: transport, target: "https://" + host.Host, random: rand.New(rand.NewPCG(seed, 1))}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return s, save(t, "kubeconfig", fmt.Sprintf(`
apiVersion: v1
kind: Config
clusters: [{name: spoiled, cluster: {server: %q}}]
contexts: [{name: spoiled, context: {cluster: spoiled, user: nobody}}]
users: [{name: nobody, user: {}}]
current-context: spoiled
`, server.URL))
}

// dice is a number below n.
func (s *spoiler) dice(n int) int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.random.IntN(n)
}

func (s *spoiler) count(what string) {
	n, _ := s.counts.LoadOrStore(what, new(atomic.Int32))
	n.(*atomic.Int32).Add(1)
}

// ServeHTTP forwards a request, and spoils some: before they are carried out, or the answer after that.
func (s *spoiler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	writes := r.Method == http.MethodPatch || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodDelete
	if s.dice(100) < int(s.spoils.Load()) {
		switch kind := s.dice(6); kind {
		case 0, 1, 2:
			code := []int{http.StatusConflict, http.StatusTooManyRequests, http.StatusInternalServerError}[kind]
			s.count(fmt.Sprint(code))
			if code == http.StatusTooManyRequests {
				w.Header().Set("Retry-After", "1")
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			reason := map[int]metav1.StatusReason{409: metav1.StatusReasonConflict, 429: metav1.StatusReasonTooManyRequests, 500: metav1.StatusReasonInternalError}[code]
			_ = json.NewEncoder(w).Encode(metav1.Status{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Reason: reason, Code: int32(code), Message: "spoiled",
			})
			return
		case 3:
			s.count("slow")
			time.Sleep(time.Duration(200+s.dice(1500)) * time.Millisecond)
		case 4:
			if writes { // it is carried out, and nobody hears of it
				s.count("answer lost")
				if answer, err := s.send(r, body); err == nil {
					_ = answer.Body.Close()
				}
				panic(http.ErrAbortHandler)
			}
		case 5:
			s.count("cut")
			panic(http.ErrAbortHandler)
		}
	}
	if s.late.Load() && strings.HasSuffix(r.URL.Path, "/trafficrules") {
		time.Sleep(2 * time.Second)
	}
	answer, err := s.send(r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	s.starting(r, answer)
	for key, values := range answer.Header {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.StatusCode)
	s.copy(w, answer.Body, r.URL.Query().Get("watch") != "")
}

func (s *spoiler) send(r *http.Request, body []byte) (*http.Response, error) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, s.target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header = r.Header.Clone()
	return s.forward.RoundTrip(out)
}

// copy passes an answer on; of a watch each event at once, and now and then it is cut.
func (s *spoiler) copy(w http.ResponseWriter, body io.Reader, watching bool) {
	if !watching {
		_, _ = io.Copy(w, body)
		return
	}
	w.(http.Flusher).Flush()
	buffer := make([]byte, 64<<10)
	for {
		n, err := body.Read(buffer)
		if _, failed := w.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
		w.(http.Flusher).Flush()
		if s.spoils.Load() > 0 && s.dice(400) == 0 {
			s.count("watch cut")
			panic(http.ErrAbortHandler)
		}
	}
}

func TestConvergesThroughConflictsErrorsAndLostAnswers(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newLab(t)
			s, kubeconfig := newSpoiler(t, seed)
			w := l.watch(networkPolicies)
			names := l.crowd(12)
			l.apply(plain)
			s.spoils.Store(30)
			l.controllerAt(kubeconfig)
			began := time.Now()
			for _, home := range names {
				l.eventually(2*time.Minute, l.governed(home))
			}
			t.Logf("all governed after %s, of a hundred requests %d spoiled", time.Since(began), s.spoils.Load())
			s.counts.Range(func(what, n any) bool {
				t.Logf("%s: %d", what, n.(*atomic.Int32).Load())
				return true
			})
			l.inOrder(w.all())
			for _, home := range names {
				assert.Contains(t, l.names(networkPolicies, home), deny)
			}
		})
	}
}
