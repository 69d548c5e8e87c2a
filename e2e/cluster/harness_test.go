package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheStartOfAProcessIsReadWhateverItsName(t *testing.T) {
	rest := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"
	for _, name := range []string{"(bash)", "(a b)", "(a) R 1 (b)", "())"} {
		start, err := startOf([]byte("42 " + name + rest))
		require.NoError(t, err, name)
		assert.EqualValues(t, 4711, start, name)
	}
	for _, wrong := range []string{"", "42", "42 (bash)", "42 (bash) S 1 2", "42 (bash) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711"} {
		_, err := startOf([]byte(wrong))
		assert.Error(t, err, wrong)
	}
}

func FuzzStartOf(f *testing.F) {
	f.Add([]byte("42 (a) R 1 (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"))
	f.Add([]byte(")"))
	f.Fuzz(func(_ *testing.T, stat []byte) { _, _ = startOf(stat) })
}

func TestAProcessThatEndedIsNotTakenForOneOfTheSameNumber(t *testing.T) {
	c := exec.Command("sleep", "60")
	require.NoError(t, c.Start())
	p, err := identify(c.Process.Pid)
	require.NoError(t, err)
	assert.True(t, p.alive())
	assert.False(t, process{PID: p.PID, Start: p.Start + 1}.alive(), "another one, of the same number")
	require.NoError(t, c.Process.Kill())
	_ = c.Wait()
	assert.False(t, p.alive())
}

func TestOnlyWhatIsWholeStandsInTheCache(t *testing.T) {
	file := filepath.Join(t.TempDir(), "folder", "file")
	broken := errors.New("broken")
	err := whole(file, func(beside string) error {
		require.NoError(t, os.WriteFile(beside, []byte("half"), 0o600))
		return broken
	})
	require.ErrorIs(t, err, broken)
	assert.False(t, there(file))
	require.NoError(t, whole(file, func(beside string) error { return os.WriteFile(beside, []byte("all"), 0o600) }))
	require.NoError(t, whole(file, func(string) error { return broken }), "made once")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "all", string(text))
}

func TestAKeyTellsItsPartsApart(t *testing.T) {
	assert.NotEqual(t, key("a", "bc"), key("ab", "c"))
	assert.Equal(t, key("a", "bc"), key("a", "bc"))
}

func TestAWaitEndsInTimeAndTellsForWhat(t *testing.T) {
	start := time.Now()
	err := await(context.Background(), 50*time.Millisecond, func() error { return errors.New("the node is not ready") })
	assert.ErrorContains(t, err, "the node is not ready")
	assert.Less(t, time.Since(start), 5*time.Second)
	assert.ErrorIs(t, await(context.Background(), time.Hour, func() error { return errEnded }), errEnded, "no wait in vain")
}

func TestAWrongCommandIsRefusedWithAWord(t *testing.T) {
	for _, args := range [][]string{nil, {"fly"}, {"up", "now"}, {"exec", "ls"}} {
		var told bytes.Buffer
		assert.Equal(t, 2, run(context.Background(), args, &told), args)
		assert.Contains(t, told.String(), usage)
	}
}
