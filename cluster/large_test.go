package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// listOf writes a List of many Services with a port, in one JSON document.
func listOf(many int, port int) string {
	var items []string
	for i := range many {
		items = append(items, fmt.Sprintf(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"s%d"},"spec":{"ports":[{"port":%d}]}}`, i, port))
	}
	return `{"apiVersion":"v1","kind":"List","items":[` + "\n" + strings.Join(items, ",\n") + "]}\n"
}

// within fails where a read takes far longer than one that looks at each object a fixed number of times.
func within(t *testing.T, text string) error {
	t.Helper()
	began := time.Now()
	_, err := Read([]string{"-"}, strings.NewReader(text), Options{})
	require.Less(t, time.Since(began), 20*time.Second, "time grows with the square of the objects")
	return err
}

func TestALongListWithManyFaultsIsReadInGoodTime(t *testing.T) {
	err := within(t, listOf(2000, 99999))
	require.ErrorContains(t, err, "-:3 (document 1, Service default/s1): spec.ports[0].port: 99999")
	require.ErrorContains(t, err, "and 1980 more")
}

func TestALongListThatIsGivenTwiceIsReadInGoodTime(t *testing.T) {
	require.NoError(t, within(t, listOf(2000, 80)+"---\n"+listOf(2000, 80)))
}

func TestAListWhoseItemsAreNoListIsAFault(t *testing.T) {
	_, err := Read([]string{"-"}, strings.NewReader("apiVersion: v1\nkind: List\nitems: {a: b}\n"), Options{})
	require.ErrorContains(t, err, "-:3 (document 1, List): items: must be a list, is an object")
}
