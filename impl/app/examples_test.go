package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
)

// What all documents share has no package of its own.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	apptest.Examples(t, "common", apptest.Start(t, "").Env("common"), nil)
}

// The examples of the others are sent by the tests of their packages. None is forgotten.
func TestEveryContractSendsItsExamples(t *testing.T) {
	t.Parallel()
	for name := range apptest.Documents(t) {
		folder := filepath.Join("..", name)
		if name == "common" {
			folder = "."
		}
		tests, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		require.NoError(t, err)
		var all strings.Builder
		for _, file := range tests {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			all.Write(text)
		}
		require.Contains(t, all.String(), "\tapptest.Examples(t, \""+name+"\", ", folder)
	}
}
