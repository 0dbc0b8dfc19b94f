package pin_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store"
)

// A refusal that is kept under an idempotency key is not told from a wrong PIN by how much it writes: a
// wrong PIN swaps the card and adds an event and the record. What others write instead has expired.
func TestRefusalsThatAreKeptWriteAsMuchAsAWrongPIN(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db := w.store.(*store.Store)
	records := func(key string, refuse func(pin.Memo) error) int {
		require.NoError(t, refuse(pin.Memo{Keep: func(any) (pin.Replay, error) {
			return pin.Replay{Scope: "client", Key: key, Endpoint: "e", CreatedAt: w.clock(), ExpiresAt: w.clock().Add(time.Hour)}, nil
		}}))
		_, err := w.Replay(by(t), "client", key)
		require.NoError(t, err)
		written, err := w.store.List(by(t), pin.TableReplays, "", pin.Page{Limit: 100})
		require.NoError(t, err)
		_, err = db.PurgeReplays(by(t), w.clock().Add(time.Microsecond))
		require.NoError(t, err)
		_, err = w.Replay(by(t), "client", key)
		require.NoError(t, err, "the record itself stays")
		kept, err := w.store.List(by(t), pin.TableReplays, "", pin.Page{Limit: 100})
		require.NoError(t, err)
		return 1 + len(written) - len(kept)
	}
	guess := func(m pin.Memo) error {
		p, err := pin.New([]byte(wrong))
		require.NoError(t, err)
		_, err = w.Verify(by(t), w.q, pin.Plain(p), m)
		return err
	}
	require.Equal(t, 1, records("wrong", guess))
	w.block(t)
	require.Equal(t, 1, records("refused", guess), "the first refusal is told by an event")
	require.Equal(t, 2, records("refused again", guess))
	require.Equal(t, 3, records("unknown", func(m pin.Memo) error { return w.Remember(by(t), nil, m) }))
}
