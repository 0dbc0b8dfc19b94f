package issuer_test

import (
	"testing"

	"pinvault/impl/app/apptest"
)

// Every named example of the document comes out of a running server as it is written down.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	apptest.Examples(t, "issuer", apptest.Start(t, "").Env("issuer"), map[string]string{
		"listPrograms":    "it lists the caller's own program",
		"listClients":     "it lists the clients of the caller's own program",
		"listAuditEvents": "it lists the events of the caller's own program",
		"findCards":       "no card of the caller's program is found",
		"searchCards":     "no card of the caller's program is found",
	})
}
