package pin_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// aged is a world whose card's chain went through two keys that are retired and a third, with events before, between
// and after: created, three tries, rekeyed, three tries, rekeyed, three tries.
func aged(t *testing.T) (w *world, db *memory) {
	t.Helper()
	w = newMemoryWorld(t)
	db = w.store.(*memory)
	for i := range 3 {
		for range 3 {
			w.try(t, right)
		}
		if i < 2 {
			w.rotate(t, pin.UseAudit)
			w.rewrap(t)
			w.retire(t)
		}
	}
	require.Equal(t, []string{"card.created", "pin.verified match", "pin.verified match", "pin.verified match", "audit.rekeyed",
		"pin.verified match", "pin.verified match", "pin.verified match", "audit.rekeyed",
		"pin.verified match", "pin.verified match", "pin.verified match"}, w.told(t, w.card.ID))
	return w, db
}

// A chain goes on under another key with one event, whose it is nobody's, and no event is written anew.
func TestAChainGoesOnUnderAnotherKey(t *testing.T) {
	t.Parallel()
	w, db := aged(t)
	w.whole(t)
	for chain, count := range map[string]int{w.card.ID: 2, w.program.ID: 2, "server": 2} {
		rekeyed := slices.DeleteFunc(w.events(t, chain), func(e pin.AuditEvent) bool { return e.Type != pin.EventAuditRekeyed })
		require.Len(t, rekeyed, count, chain)
		for _, e := range rekeyed {
			require.Len(t, e.Covers, 32)
			require.Equal(t, chain == w.card.ID, e.CardID == w.card.ID)
			require.Empty(t, e.ClientID)
		}
	}
	before := slices.Clone(db.events[w.card.ID])
	w.rotate(t, pin.UseAudit)
	w.try(t, right)
	after := db.events[w.card.ID]
	require.Equal(t, before, after[:len(before)])
	require.Equal(t, []string{"audit.rekeyed", "pin.verified match"}, w.told(t, w.card.ID)[len(before):], "whoever comes first has it go on")
	require.Zero(t, func() (n int) {
		for _, done := range rewrapped(t, w) {
			if done.Table == "cards" {
				n += int(done.Fresh)
			}
		}
		return n
	}(), "which is nothing to do for a rewrap")
	w.agree(t)
	w.whole(t)
	w.retire(t)
	w.whole(t)
}

// Who is told of a single event is told of one whose key is retired, too, if what covers it is under a key that is there.
func TestAnEventOfARetiredKeyIsVouchedFor(t *testing.T) {
	t.Parallel()
	w, db := aged(t)
	alarms := 0
	w.OnTampered(func(context.Context, string, string) { alarms++ })
	for _, row := range db.events[w.card.ID] {
		e, err := w.EventAt(anybody(), w.card.ID, row.Seq)
		require.NoError(t, err)
		require.Equal(t, row.ID, e.ID)
	}
	require.Zero(t, alarms)
	db.events[w.card.ID][1].Body = bytes.Replace(db.events[w.card.ID][1].Body, []byte("match"), []byte("mutch"), 1)
	_, err := w.EventAt(anybody(), w.card.ID, 2)
	require.True(t, pin.Tampered(err), err)
	_, err = w.EventAt(anybody(), w.card.ID, 1)
	require.NoError(t, err, "it was vouched for before")
	require.Equal(t, 1, alarms)
	_, err = newVault(db, w.ring, w.clock, nil).EventAt(anybody(), w.card.ID, 1)
	require.True(t, pin.Tampered(err), "what covers it covers the other too")
	_, err = w.EventAt(anybody(), w.card.ID, 10)
	require.NoError(t, err, "its key is there")
}

// counting is a store that counts the events of chains that it hands out.
type counting struct {
	pin.Store
	events int
}

func (c *counting) ChainEvents(ctx context.Context, chain string, seq int64, limit int) ([]pin.EventRow, error) {
	all, err := c.Store.ChainEvents(ctx, chain, seq, limit)
	for _, row := range all {
		if row.Chain == chain {
			c.events++
		}
	}
	return all, err
}

// Who is told of a chain's events one after the other has it walked once, however long it is.
func TestAChainWhoseKeyIsRetiredIsWalkedOnce(t *testing.T) {
	t.Parallel()
	w, db := aged(t)
	all := db.events[w.card.ID]
	for name, order := range map[string][]pin.EventRow{"from its beginning": all[:9], "from its midst": all[4:9]} {
		read := &counting{Store: db}
		v := newVault(read, w.ring, w.clock, nil)
		for _, row := range order {
			e, err := v.EventAt(anybody(), w.card.ID, row.Seq)
			require.NoError(t, err)
			require.Equal(t, row.ID, e.ID)
		}
		require.LessOrEqual(t, read.events, 2*len(order)+len(all), "%s: each event with the one before it, and the chain", name)
	}
}

// suddenly are keys of which one becomes the current one at the n-th call of MAC for the trail.
type suddenly struct {
	pin.Keys
	n      int
	change func()
}

func (k *suddenly) MAC(use pin.Use, data []byte) ([]byte, error) {
	if use == pin.UseAudit {
		if k.n--; k.n == 0 {
			k.change()
		}
	}
	return k.Keys.MAC(use, data)
}

// A key may become the current one at any moment, in the midst of a change too.
func TestAKeyThatBecomesCurrentInTheMidstOfAChange(t *testing.T) {
	t.Parallel()
	for n := range 6 {
		w := newMemoryWorld(t)
		for range 2 {
			w.try(t, wrong)
		}
		keys := &suddenly{Keys: w.ring, n: n + 1, change: func() { w.rotate(t, pin.UseAudit) }}
		_, err := newVault(w.store, keys, w.clock, nil).Verify(by(t), w.q, plain(t, wrong), pin.Memo{}) // two events
		require.NoError(t, err)
		w.rewrap(t)
		w.retire(t)
		w.agree(t)
		w.whole(t)
	}
}

func rewrapped(t *testing.T, w *world) (all []pin.Rewrapped) {
	t.Helper()
	require.NoError(t, w.Rewrap(anybody(), pin.RewrapOptions{Done: func(done pin.Rewrapped) { all = append(all, done) }}))
	return all
}

// findings of a verification, by fault.
func (w *world) findings(t *testing.T) map[pin.Fault]pin.Finding {
	t.Helper()
	s, err := w.VerifyTrail(by(t), pin.VerifyOptions{})
	require.NoError(t, err)
	out := map[pin.Fault]pin.Finding{}
	for _, f := range s.Findings {
		out[f.Fault] = f
	}
	return out
}

// Whatever is done to events whose key is retired is found, as it would be under a key that is there.
func TestEventsOfARetiredKeyAreHeldByTheNextOnes(t *testing.T) {
	t.Parallel()
	edit := func(e pin.EventRow, old, fresh string) pin.EventRow {
		e.Body = bytes.Replace(e.Body, []byte(old), []byte(fresh), 1)
		return e
	}
	for name, test := range map[string]struct {
		tamper func(w *world, all []pin.EventRow) []pin.EventRow
		want   pin.Fault
		seq    int64 // of the first break
	}{
		"an event of the first key is changed": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all[1] = edit(all[1], `"match"`, `"other"`)
			return all
		}, pin.FaultEventChanged, 1},
		"an event of the second key is changed": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all[6] = edit(all[6], `"match"`, `"other"`)
			return all
		}, pin.FaultEventChanged, 1},
		"an event of the key that is there is changed": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all[10] = edit(all[10], `"match"`, `"other"`)
			return all
		}, pin.FaultEventChanged, 11},
		"a MAC is changed": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all[1].MAC = append(bytes.Clone(all[1].MAC[:36]), all[1].MAC[36]^1)
			return all
		}, pin.FaultEventChanged, 1},
		"an event's id is changed": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all[1].ID = "another"
			return all
		}, pin.FaultEventChanged, 1},
		"an event is removed": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			return slices.Delete(all, 1, 2)
		}, pin.FaultEventMissing, 2},
		"an event is removed, and the others moved up": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all = slices.Delete(all, 1, 2)
			for i := range all {
				all[i].Seq = int64(i + 1)
			}
			return all
		}, pin.FaultEventChanged, 1},
		"the first event is removed": {func(_ *world, all []pin.EventRow) []pin.EventRow { return all[1:] }, pin.FaultEventMissing, 1},
		"all events of the first key are removed": {func(_ *world, all []pin.EventRow) []pin.EventRow { return all[4:] },
			pin.FaultEventMissing, 1},
		"an event is inserted in the place of another": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all[1] = all[2]
			all[1].Seq = 2
			return all
		}, pin.FaultEventChanged, 1},
		"two events change places": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all[1], all[2] = all[2], all[1]
			all[1].Seq, all[2].Seq = 2, 3
			return all
		}, pin.FaultEventChanged, 1},
		"the first audit.rekeyed is removed": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			return slices.Delete(all, 4, 5)
		}, pin.FaultEventMissing, 5},
		"the last audit.rekeyed is removed": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			return slices.Delete(all, 8, 9)
		}, pin.FaultEventMissing, 9},
		"the last audit.rekeyed becomes something else": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all[8] = edit(all[8], "audit.rekeyed", "audit.rekeyes")
			return all
		}, pin.FaultEventChanged, 1},
		"a chain is cut before the key that is there": {func(_ *world, all []pin.EventRow) []pin.EventRow { return all[:8] },
			pin.FaultTailMissing, 9},
		"an audit.rekeyed is forged under the retired key": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all[1] = edit(all[1], `"match"`, `"other"`)
			forged := all[8]
			forged.MAC = append(bytes.Clone(all[7].MAC[:5]), forged.MAC[5:]...)
			all[8] = forged
			return all
		}, pin.FaultEventChanged, 1},
		"the audit.rekeyed of another chain stands in the place of this one's": {func(w *world, all []pin.EventRow) []pin.EventRow {
			others := w.store.(*memory).events[w.program.ID]
			at := slices.IndexFunc(others, func(e pin.EventRow) bool { return strings.Contains(string(e.Body), "audit.rekeyed") })
			all[8].Body, all[8].MAC = others[at].Body, others[at].MAC
			return all
		}, pin.FaultEventChanged, 1},
		"an event gets the prefix of a key that is not there": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all[10] = edit(all[10], `"match"`, `"other"`)
			all[10].MAC = append([]byte{1, 9, 9, 9, 9}, all[10].MAC[5:]...)
			return all
		}, pin.FaultEventChanged, 11},
		"the newest event gets the prefix of a key that is not there": {func(_ *world, all []pin.EventRow) []pin.EventRow {
			all[11].MAC = append([]byte{1, 9, 9, 9, 9}, all[11].MAC[5:]...)
			return all
		}, pin.FaultHeadOther, 12},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, db := aged(t)
			db.events[w.card.ID] = test.tamper(w, slices.Clone(db.events[w.card.ID]))
			found := w.findings(t)
			require.Contains(t, found, test.want)
			b := found[test.want].Breaks[0]
			require.Equal(t, test.seq, b.Seq, b)
			require.Equal(t, w.card.ID, b.ID)
		})
	}
}

// The same holds where a vault's key was stolen after it was retired: a chain that whoever has it wrote anew does not
// end in the audit.rekeyed that stands.
func TestWhoeverHasARetiredKeyForgesNothing(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	db := w.store.(*memory)
	w.inMemory(t)
	stolen := w.live.Keyset()
	w.try(t, wrong)
	honest := len(db.events[w.card.ID])
	w.rotate(t, pin.UseAudit)
	w.rewrap(t)
	w.retire(t)

	thief := newMemoryWorld(t)
	require.NoError(t, thief.live.Replace(stolen))
	forged, previous := slices.Clone(db.events[w.card.ID]), []byte(nil)
	forged[honest-1].Body = bytes.Replace(forged[honest-1].Body, []byte("pin.failed"), []byte("pin.verifie"), 1)
	for i := range honest {
		mac, err := thief.ring.MAC(pin.UseAudit, forged[i].Input(previous))
		require.NoError(t, err)
		if i < honest-1 {
			require.Equal(t, forged[i].MAC, mac, "the key is the one that was")
		}
		forged[i].MAC, previous = mac, mac
	}
	db.events[w.card.ID] = forged
	require.Contains(t, w.findings(t), pin.FaultEventChanged)
}

// A checkpoint that was taken before a rotation names events that are there still.
func TestACheckpointOutlivesTheKeyOfItsHeads(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	w.try(t, right)
	var kept []pin.ChainHead
	for h, err := range w.Heads(by(t)) {
		require.NoError(t, err)
		h.Digest = nil // a checkpoint does not have it
		kept = append(kept, h)
	}
	w.rotate(t, vaultUses...)
	w.rewrap(t)
	w.retire(t)
	s, err := w.VerifyTrail(by(t), pin.VerifyOptions{Expected: func(yield func(pin.ChainHead, error) bool) {
		for _, h := range kept {
			if !yield(h, nil) {
				return
			}
		}
	}})
	require.NoError(t, err)
	require.Empty(t, s.Findings)
	require.EqualValues(t, len(kept), s.Heads)
}
