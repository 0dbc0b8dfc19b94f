package thredd_test

import (
	"testing"

	"pinvault/impl/app/apptest"
)

// Every named example of the document comes out of a running server as it is written down.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	apptest.Examples(t, "thredd", apptest.Start(t, "").Env("thredd"), map[string]string{"createCard": "the card is one of the caller's own program"})
}
