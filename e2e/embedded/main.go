package embedded

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Suite is a package of tests that drive one built program against one control plane.
type Suite struct {
	// Name is the package's, for what goes wrong before any test.
	Name string
	// Program is the package of the program, "./cmd/palisade".
	Program string
	Options
}

// Tests are a *testing.M.
type Tests interface{ Run() int }

// Main builds the program, starts the control plane, and has the tests run between. It ends the process.
func Main(m Tests, s Suite, use func(plane *ControlPlane, binary string, run func() int) (int, error)) {
	code, err := s.run(m, use)
	if err != nil {
		fmt.Fprintln(os.Stderr, s.Name+":", err)
		code = 2
	}
	os.Exit(code)
}

func (s *Suite) run(m Tests, use func(plane *ControlPlane, binary string, run func() int) (int, error)) (code int, err error) {
	folder, err := os.MkdirTemp("", "palisade-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	binary := filepath.Join(folder, filepath.Base(s.Program))
	if out, err := exec.Command("go", "-C", s.Root, "build", "-o", binary, s.Program).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building %s: %w\n%s", s.Program, err, out)
	}
	plane, err := Start(s.Options)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	return use(plane, binary, m.Run)
}
