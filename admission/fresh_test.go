package admission

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"floe.dev/palisade/api/v1alpha1"
)

// Every read began after it was asked for, and many that ask at once share few.
func TestReadsAreFreshAndShared(t *testing.T) {
	var began, at atomic.Int64
	r := newReads(func(context.Context, string) ([]v1alpha1.Exemption, error) {
		began.Add(1)
		e := v1alpha1.Exemption{}
		e.Generation = at.Load()
		time.Sleep(2 * time.Millisecond)
		return []v1alpha1.Exemption{e}, nil
	})
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			asked := at.Add(1)
			list, err := r.of("shop")
			assert.NoError(t, err)
			assert.GreaterOrEqual(t, list[0].Generation, asked)
		})
		time.Sleep(50 * time.Microsecond)
	}
	all.Wait()
	assert.Less(t, began.Load(), int64(150))
	assert.Eventually(t, func() bool {
		r.lock.Lock()
		defer r.lock.Unlock()
		return len(r.under) == 0
	}, 5*time.Second, time.Millisecond, "nothing is kept")
}

func TestReadsThatFailAreToldOf(t *testing.T) {
	failed := errors.New("no")
	_, err := newReads(func(context.Context, string) ([]v1alpha1.Exemption, error) { return nil, failed }).of("shop")
	assert.ErrorIs(t, err, failed)
}
