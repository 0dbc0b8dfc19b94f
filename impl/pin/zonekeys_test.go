package pin_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestImportZoneKeyReachesAsFarAsItsCaller(t *testing.T) {
	w := newWorld(t)
	other, err := w.CreateProgram(t.Context(), pin.NewProgram("other"), pin.Memo{})
	require.NoError(t, err)
	bound := pin.WithCaller(t.Context(), pin.Caller{ClientID: "bound", ProgramID: w.program.ID})
	key := func(id, program string) pin.ZoneKey {
		return pin.ZoneKey{ID: id, ProgramID: program, Usage: pin.UsageZonePIN, Algorithm: "TDES", Wrapped: []byte("sealed"), CheckValue: "F1652F", Version: 1}
	}
	require.NoError(t, w.ImportZoneKey(t.Context(), key("server", ""), pin.Memo{}))
	require.NoError(t, w.ImportZoneKey(bound, key("own", w.program.ID), pin.Memo{}))
	for _, test := range []struct {
		name string
		err  error
		code pin.Code
	}{
		{"another program's", w.ImportZoneKey(bound, key("x", other.ID), pin.Memo{}), pin.Forbidden},
		{"the whole server's", w.ImportZoneKey(bound, key("x", ""), pin.Memo{}), pin.Forbidden},
		{"nobody's", w.ImportZoneKey(t.Context(), key("x", "nobody"), pin.Memo{}), pin.NotFound},
		{"a second one of an id", w.ImportZoneKey(t.Context(), key("own", ""), pin.Memo{}), pin.Duplicate},
	} {
		require.Equal(t, test.code, pin.CodeOf(test.err), test.name)
	}
	_, err = w.store.ZoneKey(t.Context(), "x")
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	events, err := w.AuditEvents(t.Context(), pin.AuditQuery{Page: pin.Page{Limit: 100}})
	require.NoError(t, err)
	var imported []string
	for _, e := range events {
		if e.Type == pin.EventKeyImported {
			imported = append(imported, e.Chain+" "+e.Subject)
		}
	}
	require.Equal(t, []string{"server" + " server", w.program.ID + " own"}, imported, "what was refused left no event")
}

func TestRememberRunsBothHooksInOneTransaction(t *testing.T) {
	w := newWorld(t)
	var seen any
	reserve := func(tx pin.Tx) error {
		return tx.InsertReplay(pin.Replay{Scope: "client", Key: "key", Fingerprint: []byte("f")})
	}
	failing := pin.Memo{Reserve: reserve, Complete: func(pin.Tx, any) error { return errors.New("no") }}
	require.EqualError(t, w.Remember(t.Context(), 7, failing), "no")
	_, err := w.store.Replay(t.Context(), "client", "key")
	require.Equal(t, pin.NotFound, pin.CodeOf(err), "what was reserved is undone")
	require.NoError(t, w.Remember(t.Context(), 7, pin.Memo{Reserve: reserve, Complete: func(_ pin.Tx, result any) error { seen = result; return nil }}))
	require.Equal(t, 7, seen)
	_, err = w.store.Replay(t.Context(), "client", "key")
	require.NoError(t, err)
}
