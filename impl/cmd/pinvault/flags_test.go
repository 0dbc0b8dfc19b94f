package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app"
)

// What the issuer API lets be said of a program, the command line has a flag for, and it names the
// contracts that there are.
func TestFlagsAreThoseOfTheIssuersDocument(t *testing.T) {
	t.Parallel()
	var c commands
	parser, err := kong.New(&c, kong.Name("pinvault"))
	require.NoError(t, err)
	flags := map[string]map[string]*kong.Flag{}
	for _, leaf := range parser.Model.Leaves(false) {
		flags[leaf.Path()] = map[string]*kong.Flag{}
		for _, f := range leaf.Flags {
			flags[leaf.Path()]["--"+f.Name] = f
		}
	}
	documents, err := app.Documents()
	require.NoError(t, err)
	for _, m := range documents["issuer"].Members("ProgramChange") {
		for _, command := range []string{"programs create", "programs set"} {
			flag := flagNamed(m.Name)
			if m.Type == "object" { // of a contract
				flag = "--setting"
			}
			require.Contains(t, flags[command], flag, command)
		}
	}
	for _, m := range documents["issuer"].Members("ClientRequest") {
		if m.Name == "contract" {
			for _, name := range m.Enum {
				require.Contains(t, flags["clients create"]["--contract"].Help, name)
			}
		}
	}
}

// Every command that works on a vault says how it is called.
func TestHelpShowsAnExample(t *testing.T) {
	t.Parallel()
	var c commands
	parser, err := kong.New(&c, kong.Name("pinvault"))
	require.NoError(t, err)
	for _, leaf := range parser.Model.Leaves(false) {
		switch leaf.Parent.Name {
		case "programs", "clients", "cards":
			require.Contains(t, leaf.Detail, "\n\n    pinvault "+leaf.Path(), leaf.Path())
		}
		require.False(t, strings.HasSuffix(leaf.Help, " "), leaf.Path())
	}
}
