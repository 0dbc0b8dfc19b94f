package issuer_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
)

// Every named example of the document comes out of a running server as it is written down.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	apptest.Examples(t, "issuer", apptest.Start(t, "").Env("issuer"), map[string]string{
		"listPrograms":    "it lists the caller's own program",
		"listClients":     "it lists the clients of the caller's own program",
		"listApprovals":   "it lists the approvals of the caller's own program",
		"listKeys":        "it lists the keys of the caller's own program",
		"listAuditEvents": "it lists the events of the caller's own program",
		"listWebhooks":    "it lists the webhooks of the caller's own program",
		"createWebhook":   "one that names no program is of the caller's own",
		"findCards":       "no card of the caller's program is found",
		"searchCards":     "no card of the caller's program is found",
	})
}

// What the clients of a program can set limits that program's PINs, and no other's.
func TestAProgramsPINsAreAsLongAsItsOwnClientsCanSet(t *testing.T) {
	t.Parallel()
	h := apptest.Start(t, "")
	issuer := contracttest.Bearer(h.Mint(t, "issuer-sandbox", time.Hour))
	made := h.Client.For(t).Do(http.MethodPost, "/issuer/v1/programs", issuer, contracttest.JSON(map[string]any{"name": "Long PINs"})).ExpectStatus(http.StatusCreated)
	longer := func(program string) int {
		return h.Client.For(t).Do(http.MethodPatch, "/issuer/v1/programs/"+program, issuer, contracttest.JSON(map[string]any{"minPinLength": 5})).Status
	}
	require.Equal(t, http.StatusOK, longer(made.Text("/programId")))
	require.Equal(t, http.StatusUnprocessableEntity, longer("00000000-0000-7000-8000-00000000a001"), "Thredd's clients set four digits")
}
