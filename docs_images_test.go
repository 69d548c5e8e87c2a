package palisade_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/image"
)

const pageOfImages = "docs/images.md"

// Each code has a section with its severities, and is in the schema.
func TestEveryFaultOfAnImageHasASection(t *testing.T) {
	text := read(t, pageOfImages)
	var codes []string
	for _, k := range image.Kinds() {
		codes = append(codes, k.Code)
		var severities []string
		for _, s := range k.Severities {
			severities = append(severities, string(s))
		}
		assert.Contains(t, text, "\n### "+k.Code+"\n*"+strings.Join(severities, " or ")+"*. ")
	}
	assert.Equal(t, codes, sectionsOf(t, pageOfImages), "%s explains exactly the codes, sorted", pageOfImages)
	var schema struct {
		Properties struct {
			Images struct {
				Items struct {
					Properties struct {
						Faults struct {
							Items struct {
								Properties struct{ Code struct{ Enum []string } }
							}
						}
					}
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, "docs/schemas/image-report.json")), &schema))
	listed := schema.Properties.Images.Items.Properties.Faults.Items.Properties.Code.Enum
	slices.Sort(listed)
	assert.Equal(t, codes, listed)
}
