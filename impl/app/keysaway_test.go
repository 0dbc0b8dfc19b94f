package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/tink"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/rows"
	"pinvault/impl/store/storetest"
)

// faint is a keyset whose ciphers do not answer while it is away.
type faint struct {
	*keyring.Keyset
	away atomic.Bool
}

func (f *faint) Primitive(use pin.Use) any {
	if _, seals := f.Keyset.Primitive(use).(tink.AEAD); seals && f.away.Load() {
		return unanswering{}
	}
	return f.Keyset.Primitive(use)
}

type unanswering struct{}

func (unanswering) Encrypt([]byte, []byte) ([]byte, error) {
	return nil, &pin.Error{Code: pin.Unavailable}
}
func (unanswering) Decrypt([]byte, []byte) ([]byte, error) {
	return nil, &pin.Error{Code: pin.Unavailable}
}

// The keys go away and come back: every operation of every contract that needs them answers as its document says where
// nobody can do it, no other answer is a wrong one, and all recover in the same process. Of real backends, which take
// longer to come back, one operation of each contract is tried.
func TestKeysGoneAndBack(t *testing.T) {
	for _, name := range append([]string{"memory"}, keyringtest.All...) {
		if name == keyringtest.OpenBao {
			continue // whose keys are in memory once it has opened them
		}
		for database, open := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
			t.Run(name+" on "+database, func(t *testing.T) {
				var keys keyringtest.Away
				if name == "memory" {
					f := &faint{Keyset: keyring.Sandbox()}
					keys = keyringtest.Away{Engine: f, Take: func() { f.away.Store(true) }, Give: func(testing.TB) { f.away.Store(false) }}
				} else {
					keys = keyringtest.TakenAway(t, name)
				}
				goneAndBack(t, partnersOf(t, apptest.StartOver(t, open(t), keys)), keys, name == "memory")
			})
		}
	}
}

func goneAndBack(t *testing.T, p *partners, keys keyringtest.Away, every bool) {
	t.Helper()
	ready := func(status int, body string) {
		require.Eventually(t, func() bool {
			told := p.Client.For(t).Do(http.MethodGet, "/readyz")
			return told.Status == status && string(told.Body) == body+"\n"
		}, 20*time.Second, 50*time.Millisecond, body)
	}
	ready(http.StatusOK, `{"status":"ok"}`)
	keys.Take()
	ready(http.StatusServiceUnavailable, `{"failing":["keys"],"status":"unavailable"}`)
	keys.Give(t)
	ready(http.StatusOK, `{"status":"ok"}`)
	for _, name := range append(p.contracts(), "hosted") {
		all, err := rows.All(apptest.Documents(t)[name])
		require.NoError(t, err)
		told, err := rows.ErrorReferenceOf(apptest.Documents(t)[name])
		require.NoError(t, err)
		unavailable := func(status int, header http.Header, body []byte) bool {
			return slices.ContainsFunc(all, func(r rows.Row) bool {
				return slices.Contains([]string{"database", "device", "device-plan"}, r.Fault) && (len(contracttest.Differences(r, status, header, body)) == 0 || p.alike(name, r, status, body))
			})
		}
		unanswered := 0
		tried := map[string]bool{}
		for _, row := range all {
			of := fmt.Sprint(row.Operation, row.Sealed)
			if tried[of] || unanswered > 0 && !every || row.Raw || row.Authorization != "" || row.After != nil || len(row.Override) > 0 || row.Fault != "" || !succeeds(row, told) {
				continue
			}
			tried[of] = true
			p.Reset(t)
			sent := row
			if row.Session != nil {
				sent = apptest.Begun(t, p.Client, row)
			}
			p.credentials(name, sent) // which are no part of this
			keys.Take()
			status, header, body, _ := p.send(name, sent)
			keys.Give(t)
			if !unavailable(status, header, body) { // it needs none of the keys that were away
				require.Empty(t, contracttest.Differences(row, status, header, body), "%s %s: %d %s", name, row, status, body)
				continue
			}
			unanswered++
			status, _, body, _ = p.send(name, sent)
			require.Less(t, status, http.StatusMultipleChoices, "%s %s: %s", name, row, body)
		}
		require.NotZero(t, unanswered, "no operation of %s needs the keys: %v", name, slices.Sorted(maps.Keys(tried)))
	}
}
