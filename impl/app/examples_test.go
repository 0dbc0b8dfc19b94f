package app_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/rows"
)

// Tools that make calls of a document send every parameter, and make up what has no example. `make strangers` has some of
// them do it.
func TestToolsFindAnExampleOfEveryParameterAndSendNoKeyTwice(t *testing.T) {
	t.Parallel()
	keys := []string{"Idempotency-Key", "IdempotencyKey", "x-request-id"}
	for name, doc := range apptest.Documents(t) {
		sent := map[any]string{}
		for _, o := range rows.Operations(doc) {
			for _, p := range o.Parameters() {
				where := name + " " + o.Op.OperationID + " " + p.Name
				require.True(t, p.Example != nil || len(p.Examples) > 0, where)
				if slices.Contains(keys, p.Name) {
					require.Empty(t, sent[p.Example], where)
					sent[p.Example] = where
				}
			}
		}
	}
}
