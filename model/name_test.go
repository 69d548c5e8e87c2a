package model

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The name of an object may be four times as long as the value of a label.
func TestLongNamesBecomeValidLabelValues(t *testing.T) {
	long := strings.Repeat("a-very.long-profile.", 12)
	for _, name := range []string{"strict", "", strings.Repeat("a", 63), long + "one", long + "two", strings.Repeat("a", 53) + ".." + "b" + strings.Repeat("c", 60)} {
		require.Empty(t, validation.IsValidLabelValue(LabelValue(name)), name)
	}
	require.Equal(t, "strict", LabelValue("strict"))
	require.NotEqual(t, LabelValue(long+"one"), LabelValue(long+"two"))
}
