package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page of settings is what the flags say: 'go run ./impl/cmd/pinvault reference >docs/configuration.md' writes it anew.
func TestTheConfigurationPageIsMadeOfTheFlags(t *testing.T) {
	t.Parallel()
	model, err := grammar(t.Context())
	require.NoError(t, err)
	var page bytes.Buffer
	require.NoError(t, configuration(&page, referenceOf(model)))
	written, err := os.ReadFile("../../../docs/configuration.md")
	require.NoError(t, err)
	require.Equal(t, page.String(), string(written), "docs/configuration.md is stale")
	for _, row := range []string{
		"| `--listen=HOST:PORT` | `PINVAULT_LISTEN` | 127.0.0.1:8080 | Where to listen. |",
		"| `--[no-]docs` | `PINVAULT_DOCS` | on | Serve the documentation at /docs and /openapi. |",
		"| `--max-connections=N` | `PINVAULT_MAX_CONNECTIONS` | 1000 | Maximum number of simultaneous connections; further ones wait. 0: no limit. |",
		"|  | `PINVAULT_MASTER_KEY` |  |", // what is secret has no flag
		"As the server: `--database-url=URL`.",
	} {
		require.Contains(t, page.String(), row)
	}
	require.NotContains(t, page.String(), "${")
	require.NotContains(t, page.String(), "pinvault reference\n", "it is for those who make releases")
}

// The manual page names every command, and man(1) finds nothing wrong with it.
func TestTheManualPageIsOne(t *testing.T) {
	t.Parallel()
	model, err := grammar(t.Context())
	require.NoError(t, err)
	var page bytes.Buffer
	require.NoError(t, manual(&page, referenceOf(model)))
	for _, leaf := range model.Leaves(true) {
		require.Contains(t, page.String(), "\n.SS pinvault "+roff(leaf.Path()))
	}
	for line := range strings.Lines(page.String()) {
		require.NotRegexp(t, `^\.[^A-Zfn]`, line, "no text may be taken for a macro")
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("there is no groff here to read it")
	}
	c := exec.CommandContext(t.Context(), groff, "-man", "-Kutf8", "-Tutf8", "-P-cbou", "-ww")
	c.Stdin = &page
	var said bytes.Buffer
	c.Stderr = &said
	shown, err := c.Output()
	require.NoError(t, err)
	require.Empty(t, said.String())
	require.Contains(t, string(shown), "PINVAULT_DATABASE_URL")
}
