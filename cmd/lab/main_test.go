package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify/lab"
)

func TestAWorkloadIsRelaxedOnCommand(t *testing.T) {
	l, err := lab.Start(model.MeshIstio, lab.Sound())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	var answers strings.Builder
	obey(l, strings.NewReader("relax floe-platform/polaris\nrelax nobody\nstop\n"), &answers)
	assert.Equal(t, "2 stand-ins of floe-platform/polaris are permissive\n0 stand-ins of nobody are permissive\n\"stop\" is no command\n", answers.String())
}
