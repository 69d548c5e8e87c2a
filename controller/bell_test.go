package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestUrgentCallsAreGatheredAShortWhile(t *testing.T) {
	b := newBell()
	assert.True(t, b.due(false).IsZero(), "nothing calls")
	b.ring(true, noon)
	assert.Equal(t, after(urgentQuiet), b.due(false))
	b.ring(true, after(10*time.Millisecond))
	assert.Equal(t, after(10*time.Millisecond+urgentQuiet), b.due(true), "also while writes are on their way")
	for d := time.Duration(0); d < time.Second; d += 10 * time.Millisecond {
		b.ring(true, after(d))
	}
	assert.Equal(t, after(urgentMost), b.due(false), "calls without end do not keep the next run away")
	b.begin()
	assert.True(t, b.due(false).IsZero())
}

func TestOtherCallsWaitAndLongerWhileWritesAreOnTheirWay(t *testing.T) {
	b := newBell()
	b.ring(false, noon)
	b.ring(false, after(900*time.Millisecond))
	assert.Equal(t, after(otherwise), b.due(false))
	assert.Equal(t, after(otherwise+busyMost), b.due(true))
}

func TestRunsLeaveOthersRoom(t *testing.T) {
	b := newBell()
	b.begin()
	b.end(noon, after(4*time.Second), 0)
	b.ring(false, after(4*time.Second))
	assert.Equal(t, after(12*time.Second), b.due(false), "twice as long as the last run took")
	b.ring(true, after(4*time.Second))
	assert.Equal(t, after(5*time.Second), b.due(false), "what is urgent waits for a quarter of it")
}

func TestTimeItselfCalls(t *testing.T) {
	b := newBell()
	b.begin()
	b.end(noon, noon, time.Minute)
	assert.Equal(t, after(time.Minute), b.due(false))
	b.begin()
	assert.True(t, b.due(false).IsZero())
}

func TestWhatNoRolloutWaitsForHasTime(t *testing.T) {
	b := newBell()
	b.ringLate(noon)
	assert.Equal(t, after(echoLater+otherwise), b.due(false))
	b.ring(false, after(time.Second))
	assert.Equal(t, after(time.Second+otherwise), b.due(false), "what others did does not")
	b.ringLate(after(time.Second))
	assert.Equal(t, after(time.Second+otherwise), b.due(false))
}
