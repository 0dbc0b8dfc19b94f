package issuer_test

import (
	"testing"

	"pinvault/impl/app/apptest"
)

// Every named example of the document comes out of a running server as it is written down.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	apptest.Examples(t, "issuer", apptest.Start(t, "").Env("issuer"))
}
