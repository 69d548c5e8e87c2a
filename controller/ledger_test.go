package controller

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/model"
)

var (
	noon   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	policy = model.Ref{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Namespace: "shop", Name: "palisade-default"}
)

func after(d time.Duration) time.Time { return noon.Add(d) }

func changeOf(version string) cluster.Change {
	return cluster.Change{Ref: policy, ResourceVersion: version, Owned: true}
}

func TestNothingIsWrittenTwiceBeforeItIsSeen(t *testing.T) {
	l := newLedger()
	assert.True(t, l.begin(policy, 7, noon, noon))
	l.end(policy, 7, "10", nil, noon)
	assert.False(t, l.begin(policy, 7, noon, after(time.Second)), "it is on its way")
	assert.True(t, l.begin(policy, 8, noon, after(time.Second)), "something else is wanted")
	l.end(policy, 8, "11", nil, after(time.Second))
	assert.True(t, l.begin(policy, 8, noon, after(unseenMost+time.Second)), "it should have been seen long ago")
}

func TestWhatWasSeenAfterTheLookIsNotWrittenAgain(t *testing.T) {
	l := newLedger()
	l.begin(policy, 7, noon, noon)
	l.end(policy, 7, "10", nil, noon)
	assert.True(t, l.seen(changeOf("10"), after(2*time.Second)), "an echo")
	assert.False(t, l.begin(policy, 7, after(time.Second), after(3*time.Second)), "whoever looked after one second could not see it")
	assert.True(t, l.begin(policy, 7, after(3*time.Second), after(4*time.Second)), "whoever looked after three could, and found it wanting")
}

func TestAnEchoThatIsFasterThanTheAnswerIsOne(t *testing.T) {
	l := newLedger()
	l.begin(policy, 7, noon, noon)
	assert.True(t, l.seen(changeOf("10"), noon))
	l.end(policy, 7, "10", nil, after(time.Second))
	assert.False(t, l.drifted(policy))
	assert.False(t, l.begin(policy, 7, noon, after(time.Second)), "it was seen after the look")
	l.settle(after(2 * time.Second))
	assert.Empty(t, l.pages)
}

func TestSomebodyElsesWriteIsDrift(t *testing.T) {
	l := newLedger()
	l.begin(policy, 7, noon, noon)
	l.end(policy, 7, "10", nil, noon)
	assert.True(t, l.seen(changeOf("9"), noon), "older than what was written")
	assert.False(t, l.seen(changeOf("11"), noon))
	assert.True(t, l.drifted(policy))
	assert.True(t, l.begin(policy, 7, noon, noon), "it is to be mended")
	assert.Equal(t, 1, l.repaired(policy, noon))
	assert.False(t, l.drifted(policy))

	l = newLedger()
	l.begin(policy, 7, noon, noon)
	l.seen(changeOf("11"), noon)
	l.end(policy, 7, "10", nil, noon)
	assert.True(t, l.drifted(policy), "somebody was faster")
}

func TestWhatFailedIsForgotten(t *testing.T) {
	l := newLedger()
	l.begin(policy, 7, noon, noon)
	l.end(policy, 7, "", errors.New("refused"), noon)
	assert.Empty(t, l.pages)
	assert.True(t, l.begin(policy, 7, noon, noon))
}

func TestADeletionIsSeen(t *testing.T) {
	l := newLedger()
	l.begin(policy, 0, noon, noon)
	l.end(policy, 0, "", nil, noon)
	assert.False(t, l.begin(policy, 0, noon, noon))
	c := changeOf("12")
	c.Gone = true
	assert.True(t, l.seen(c, after(time.Second)))
	l.settle(after(2 * time.Second))
	assert.Empty(t, l.pages)
}

func TestWhoUndoesItAgainAndAgainIsNotFoughtWithoutEnd(t *testing.T) {
	l := newLedger()
	now := noon
	for range fights {
		assert.Zero(t, l.wait(policy, now))
		l.repaired(policy, now)
	}
	assert.Equal(t, time.Second, l.wait(policy, now))
	l.repaired(policy, now)
	assert.Equal(t, 2*time.Second, l.wait(policy, now))
	assert.Zero(t, l.wait(policy, now.Add(2*time.Second)))
	for range 20 {
		l.repaired(policy, now)
	}
	assert.Equal(t, longestWait, l.wait(policy, now))
	assert.Zero(t, l.wait(policy, now.Add(peace+time.Second)), "peace was kept")
	l.settle(now.Add(peace + time.Second))
	assert.Empty(t, l.pages)
}

func TestTheLedgerForgets(t *testing.T) {
	l := newLedger()
	for i := range 1000 {
		r := policy
		r.Name += string(rune('a'+i%26)) + time.Duration(i).String()
		l.begin(r, 1, noon, noon)
		l.end(r, 1, "5", nil, noon)
		l.seen(cluster.Change{Ref: r, ResourceVersion: "5", Owned: true}, noon)
	}
	l.settle(after(time.Second))
	assert.Empty(t, l.pages, "a large cluster is not kept twice")
}
