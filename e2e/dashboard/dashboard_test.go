package dashboard

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const file = "../../deploy/dashboards/palisade.json"

// faults reads a dashboard as Grafana's types: their fields must all be there, of
// the right type, and no others. It tells what is wrong, or nothing.
func faults(text []byte) string {
	d := &dashboard.Dashboard{}
	// The SDK returns an error that holds none where nothing is wrong.
	if err := d.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err.Error()
	}
	if err := d.Validate(); err != nil {
		return err.Error()
	}
	return ""
}

func TestDashboardIsAsGrafanaWantsIt(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Empty(t, faults(text))

	slips := map[string][2]string{
		"a field that is none":     {`"schemaVersion"`, `"schemaVersoin"`},
		"a field of a panel":       {`"gridPos"`, `"gridPso"`},
		"an option of a panel":     {`"graphMode"`, `"grahpMode"`},
		"a setting of a column":    {`"filterable"`, `"filterabel"`},
		"a number as text":         {`"h": 8`, `"h": "8"`},
		"a variable without value": {`"value": "default"`, `"valeu": "default"`},
	}
	for name, slip := range slips {
		t.Run(name, func(t *testing.T) {
			wrong := bytes.ReplaceAll(text, []byte(slip[0]), []byte(slip[1]))
			require.NotEqual(t, string(text), string(wrong))
			require.True(t, json.Valid(wrong))
			assert.NotEmpty(t, faults(wrong))
		})
	}
}
