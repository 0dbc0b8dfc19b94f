package pin_test

import (
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// whole is what a verification finds, and that it can be made.
func (w *world) whole(t *testing.T, o pin.VerifyOptions) pin.Summary {
	t.Helper()
	s, err := w.VerifyTrail(by(t), o)
	require.NoError(t, err)
	return s
}

// eventless puts in the row of a chain that has lost its only event.
func (w *world) eventless(t *testing.T, id string) {
	t.Helper()
	row, err := pin.Sealed(w.ring, pin.Row{Table: pin.TableChains, ID: id, Version: 1}, pin.Head{Seq: 1, MAC: []byte("m")})
	require.NoError(t, err)
	w.store.(*memory).rows[[3]string{string(pin.TableChains), "", id}] = row
}

// expected are heads of chains that a checkpoint tells of, and the error at their end.
func expected(failure error, ids ...string) iter.Seq2[pin.ChainHead, error] {
	return func(yield func(pin.ChainHead, error) bool) {
		for _, id := range ids {
			if !yield(pin.ChainHead{Chain: id, Head: pin.Head{Seq: 1, MAC: []byte("m")}}, nil) {
				return
			}
		}
		if failure != nil {
			yield(pin.ChainHead{}, failure)
		}
	}
}

// A break is looked at three times before it is reported, as long as there are few of them; of a database that is
// broken all over each one is looked at once.
func TestABreakIsLookedAtThreeTimesUnlessThereAreMany(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ breaks, looks int }{{0, 0}, {1, 3}, {2, 6}, {100, 300}, {101, 301}, {105, 305}} {
		w := newSwiftWorld(t)
		for i := range test.breaks {
			w.eventless(t, fmt.Sprintf("chain-%03d", i))
		}
		looks := 0
		w.tap.before = func(call string) error {
			if call == "Row chains" {
				looks++
			}
			return nil
		}
		synctest.Test(t, func(t *testing.T) {
			s := w.whole(t, pin.VerifyOptions{})
			require.Equal(t, test.looks, looks-1, "%d breaks, besides the one look at the server's own chain", test.breaks)
			if test.breaks == 0 {
				require.Empty(t, s.Findings)
				return
			}
			require.Equal(t, []pin.Finding{{Fault: pin.FaultTailMissing, Count: int64(test.breaks),
				Breaks: []pin.Break{{Fault: pin.FaultTailMissing, Table: "audit_events", ID: "chain-000", Seq: 1}}}}, s.Findings)
		})
	}
}

// Where tables are spread over several servers, a row may show a moment after the events that come with it.
func TestWhatShowsAMomentLaterIsNoBreak(t *testing.T) {
	t.Parallel()
	for looks, want := range map[int][]pin.Finding{
		1: nil, 2: nil, 3: nil,
		4: {{Fault: pin.FaultHeadless, Count: 1, Breaks: []pin.Break{{Fault: pin.FaultHeadless, Table: "audit_events", ID: "late", Seq: 1}}}},
	} {
		w := newSwiftWorld(t)
		p := pin.NewProgram("test")
		p.ID = "late"
		_, err := w.CreateProgram(by(t), p, pin.Memo{})
		require.NoError(t, err)
		db, key := w.store.(*memory), [3]string{string(pin.TableChains), "", "late"}
		row := db.rows[key]
		delete(db.rows, key)
		w.tap.before = func(call string) error {
			if call == "Row chains" {
				if looks--; looks == 0 {
					db.rows[key] = row
				}
			}
			return nil
		}
		synctest.Test(t, func(t *testing.T) {
			require.Equal(t, want, w.whole(t, pin.VerifyOptions{}).Findings)
		})
	}
}

// Chains are counted that there is something of in the database: events, or the row that carries their head.
func TestVerifyTrailCountsTheChainsThatAreThere(t *testing.T) {
	t.Parallel()
	w := newSwiftWorld(t)
	counted := func(o pin.VerifyOptions) (chains, heads int64) {
		synctest.Test(t, func(t *testing.T) {
			s := w.whole(t, o)
			chains, heads = s.Chains, s.Heads
		})
		return chains, heads
	}
	require.Equal(t, [2]int64{3, 0}, pair(counted(pin.VerifyOptions{})), "the card's, the program's and the server's")
	require.Equal(t, [2]int64{3, 2}, pair(counted(pin.VerifyOptions{Expected: expected(nil, "gone", "server")})), "one that is gone is not there")
	db := w.store.(*memory)
	db.events["events alone"] = []pin.EventRow{{Chain: "events alone", Seq: 1}}
	require.Equal(t, [2]int64{4, 0}, pair(counted(pin.VerifyOptions{})))
	w.eventless(t, "row alone")
	require.Equal(t, [2]int64{5, 0}, pair(counted(pin.VerifyOptions{})))
	delete(db.events, w.card.ID)
	require.Equal(t, [2]int64{5, 0}, pair(counted(pin.VerifyOptions{})), "a card alone")
}

func pair[T any](a, b T) [2]T { return [2]T{a, b} }

// Of the chains that a checkpoint convicts twenty are named.
func TestVerifyTrailNamesTwentyChainsThatWereRolledBack(t *testing.T) {
	t.Parallel()
	w := newSwiftWorld(t)
	for _, n := range []int{1, 19, 20, 21, 25} {
		var ids []string
		var breaks []pin.Break
		for i := range n {
			ids = append(ids, fmt.Sprintf("gone-%02d", i))
			if i < 20 {
				breaks = append(breaks, pin.Break{Fault: pin.FaultRolledBack, Table: "audit_events", ID: ids[i], Seq: 1})
			}
		}
		s := w.whole(t, pin.VerifyOptions{Expected: expected(nil, ids...)})
		require.Equal(t, []pin.Finding{{Fault: pin.FaultRolledBack, Count: int64(n), Breaks: breaks}}, s.Findings)
	}
}

// A checkpoint that cannot be read to its end says nothing of what is missing.
func TestACheckpointThatCannotBeReadEndsTheVerification(t *testing.T) {
	t.Parallel()
	w := newSwiftWorld(t)
	no := errors.New("no")
	_, err := w.VerifyTrail(by(t), pin.VerifyOptions{Expected: expected(no, "gone")})
	require.ErrorIs(t, err, no)
}
