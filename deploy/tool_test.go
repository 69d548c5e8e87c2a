package deploy_test

import (
	"os"
	"testing"
)

// tool is a program that `make test-deploy` and `make generate` build. Without
// them the tests hold what was rendered last, which `make verify` compares.
func tool(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Skipf("%s names no program; make test-deploy builds it", variable)
	}
	return path
}
