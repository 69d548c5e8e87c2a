package report

import (
	"bytes"
	"encoding/json"
)

// apiVersion is that of every document for machines.
const apiVersion = "palisade.floe.dev/v1alpha1"

// JSON is a value as indented JSON, with "<" and "&" as they are, ending in a newline.
func JSON(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
