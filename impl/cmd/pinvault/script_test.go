package main

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/store/storetest"
)

// The commands as they are typed: a script a command under testdata/script, each on SQLite and, unless it
// says [postgres] skip, on PostgreSQL. A script has a database of its own and a master key; what it
// knows besides testscript's commands is:
//
//	exits CODE COMMAND…     runs a command that must end with this exit code
//	take NAME MEMBER        sets the variable NAME to a member of the JSON on standard output
//	keys                    makes a keyset, and brings the database's schema up to date
//	sandbox                 makes the database a sandbox's
func TestCommands(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for engine, database := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			for _, script := range scripts {
				t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
					t.Parallel()
					runScript(t, script, engine, database(t))
				})
			}
		})
	}
}

func runScript(t *testing.T, script, engine, database string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Files:               []string{script},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(apptest.Released(t))+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("PINVAULT_DATABASE_URL", database)
			e.Setenv("PINVAULT_KEYSET", filepath.Join(e.WorkDir, "keyset.json"))
			e.Setenv("PINVAULT_MASTER_KEY", masterKeyOfTests)
			return nil
		},
		Condition: func(name string) (bool, error) { return name == engine, nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"take":  take,
			"keys": func(s *testscript.TestScript, _ bool, _ []string) {
				s.Check(s.Exec("pinvault", "keys", "init"))
				s.Check(s.Exec("pinvault", "migrate"))
			},
			"sandbox": func(*testscript.TestScript, bool, []string) {
				apptest.Serve(t, nil, "--sandbox", "--database-url", database).Kill(t)
			},
		},
	})
}

func exits(s *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		s.Fatalf("usage: exits CODE COMMAND…")
	}
	code := 0
	err := s.Exec(args[1], args[2:]...)
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		code = failed.ExitCode()
	} else {
		s.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		s.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func take(s *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		s.Fatalf("usage: take NAME MEMBER")
	}
	var object map[string]any
	s.Check(json.Unmarshal([]byte(s.ReadFile("stdout")), &object))
	value, ok := object[args[1]].(string)
	if !ok {
		s.Fatalf("standard output has no text %q: %v", args[1], object)
	}
	s.Setenv(args[0], value)
}

// masterKeyOfTests is 32 bytes that nobody chose.
const masterKeyOfTests = "3q2ZtY0wq8bqFzqk1m7o5Cj0Jt3oX1Zy5dC8mT2vXhE="
