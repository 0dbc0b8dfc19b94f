package pin_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestImportZoneKeyReachesAsFarAsItsCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, err := w.CreateProgram(by(t), pin.NewProgram("other"), pin.Memo{})
	require.NoError(t, err)
	bound := pin.WithCaller(by(t), pin.Caller{ClientID: "bound", ProgramID: w.program.ID})
	key := func(id, program string) pin.ZoneKey {
		return pin.ZoneKey{ID: id, ProgramID: program, Usage: pin.UsageZonePIN, Algorithm: "TDES", Wrapped: []byte("sealed"), CheckValue: "F1652F", Version: 1}
	}
	require.NoError(t, w.ImportZoneKey(by(t), key("server's", ""), pin.Memo{}))
	require.NoError(t, w.ImportZoneKey(bound, key("own", w.program.ID), pin.Memo{}))
	for _, test := range []struct {
		name string
		err  error
		code pin.Code
	}{
		{"another program's", w.ImportZoneKey(bound, key("x", other.ID), pin.Memo{}), pin.Forbidden},
		{"the whole server's", w.ImportZoneKey(bound, key("x", ""), pin.Memo{}), pin.Forbidden},
		{"nobody's", w.ImportZoneKey(by(t), key("x", "nobody"), pin.Memo{}), pin.NotFound},
		{"a second one of an id", w.ImportZoneKey(by(t), key("own", ""), pin.Memo{}), pin.Duplicate},
		{"one that cannot be sealed", w.with(&faultyKeys{op: "MAC", use: pin.UseSeal}, nil).ImportZoneKey(by(t), key("x", ""), pin.Memo{}), pin.Unavailable},
	} {
		require.Equal(t, test.code, pin.CodeOf(test.err), test.name)
	}
	keys := pin.NewZoneKeys(w.store, w.ring)
	kept, err := keys.ZoneKey(by(t), "own")
	require.NoError(t, err)
	own := key("own", w.program.ID)
	own.State = pin.KeyActive
	require.Equal(t, own, kept)
	_, err = keys.ZoneKey(by(t), "x")
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	imported := func(chain string) (subjects []string) {
		for _, e := range w.events(t, chain) {
			if e.Type == pin.EventKeyImported {
				subjects = append(subjects, e.Subject)
				require.Equal(t, int64(1), e.Version)
			}
		}
		return subjects
	}
	require.Equal(t, []string{"zpk", "server's"}, imported("server"), "what was refused left no event")
	require.Equal(t, []string{"own"}, imported(w.program.ID))
}

// A replay record that an operation leaves, or that no operation stands behind.
func TestRememberKeepsAnAnswerOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var seen []any
	keep := func(result any) (pin.Replay, error) {
		seen = append(seen, result)
		return pin.Replay{Scope: "client", Key: "key", Endpoint: "e", Fingerprint: []byte("f"), Result: []byte("7"),
			CreatedAt: w.clock(), ExpiresAt: w.clock().Add(time.Hour)}, nil
	}
	no := errors.New("no")
	require.ErrorIs(t, w.Remember(by(t), 7, pin.Memo{Keep: func(any) (pin.Replay, error) { return pin.Replay{}, no }}), no)
	_, err := w.Replay(by(t), "client", "key")
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	require.NoError(t, w.Remember(by(t), 7, pin.Memo{}), "nothing to keep")
	_, err = w.Replay(by(t), "client", "key")
	require.Equal(t, pin.NotFound, pin.CodeOf(err))

	require.NoError(t, w.Remember(by(t), 7, pin.Memo{Keep: keep}))
	require.Equal(t, []any{7}, seen)
	kept, err := w.Replay(by(t), "client", "key")
	require.NoError(t, err)
	require.Equal(t, pin.Replay{Scope: "client", Key: "key", Endpoint: "e", Fingerprint: []byte("f"), Result: []byte("7"),
		CreatedAt: w.clock(), ExpiresAt: w.clock().Add(time.Hour), Version: 1}, kept)
	for _, other := range [][2]string{{"client", "key2"}, {"client2", "key"}, {"clien", "tkey"}} {
		_, err = w.Replay(by(t), other[0], other[1])
		require.Equal(t, pin.NotFound, pin.CodeOf(err))
	}

	err = w.Remember(by(t), 8, pin.Memo{Keep: keep})
	require.Equal(t, pin.Duplicate, pin.CodeOf(err))
	require.Equal(t, "replays", pin.FieldOf(err))
	w.later(time.Hour)
	require.NoError(t, w.Remember(by(t), 8, pin.Memo{Keep: keep}), "at the moment of its expiry a key is free")
}

// rotated are keys of which an index key was changed: the hash that was made before is now the second one.
type rotated struct{ pin.Keys }

func (k rotated) Index(use pin.Use, data []byte) ([]string, error) {
	former, err := k.Keys.Index(use, data)
	if err != nil {
		return nil, err
	}
	return append([]string{"current " + former[0]}, former...), nil
}

// An answer is found under a hash of a former key, where none is found under that of the current one.
func TestAnAnswerOutlivesTheKeyOfItsHash(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	require.NoError(t, w.Remember(by(t), 7, w.keeping("key")))
	v := newVault(w.store, rotated{w.ring}, w.clock, nil)
	kept, err := v.Replay(by(t), "client", "key")
	require.NoError(t, err)
	require.Equal(t, []byte("{}"), kept.Result)
	require.Zero(t, kept.Version, "a record under the current hash is the first one there")
	_, err = v.Replay(by(t), "client", "other")
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	require.NoError(t, v.Remember(by(t), 7, w.keeping("key")))
	kept, err = v.Replay(by(t), "client", "key")
	require.NoError(t, err)
	require.Equal(t, int64(1), kept.Version)
}
