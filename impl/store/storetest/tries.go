package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/pin"
)

// together runs f n times at once and fails with the first error.
func together(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var group sync.WaitGroup
	errs := make([]error, n)
	start := make(chan struct{})
	for i := range n {
		group.Go(func() { <-start; errs[i] = f(i) })
	}
	close(start)
	group.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

var tryTests = []test{
	{"a take costs a try and counts, until none is left", func(t *testing.T, s Store) {
		withCards(t, s, "card", "other")
		for take := int64(1); take <= 3; take++ {
			taken, admitted, err := s.TakeTry(context.Background(), "card", 3)
			require.NoError(t, err)
			require.True(t, admitted)
			require.Equal(t, pin.Taken{State: pin.PINAssigned, Verifier: []byte("verifier 1"), Version: 1, TriesLeft: int(3 - take), TakeNumber: take}, taken)
		}
		for range 2 {
			taken, admitted, err := s.TakeTry(context.Background(), "card", 3)
			require.NoError(t, err)
			require.False(t, admitted)
			require.Zero(t, taken)
		}
		want := newPIN()
		want.TriesLeft, want.Takes = 0, 3
		require.Equal(t, want, record(t, s, "card").PIN)
		require.Equal(t, newPIN(), record(t, s, "other").PIN)
	}},
	{"a take in a transaction is undone with it", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		require.Equal(t, errDomain, in(s, func(tx pin.Tx) error {
			taken, admitted, err := tx.TakeTry("card", 3)
			require.NoError(t, err)
			require.True(t, admitted)
			require.Equal(t, pin.Taken{State: pin.PINAssigned, Verifier: []byte("verifier 1"), Version: 1, TriesLeft: 2, TakeNumber: 1}, taken)
			return errDomain
		}))
		require.Equal(t, newPIN(), record(t, s, "card").PIN)
	}},
	{"a limit lowered since counts at once", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		taken, admitted, err := s.TakeTry(context.Background(), "card", 1)
		require.NoError(t, err)
		require.True(t, admitted)
		require.Zero(t, taken.TriesLeft)
		_, admitted, err = s.TakeTry(context.Background(), "card", 1)
		require.NoError(t, err)
		require.False(t, admitted)
	}},
	{"a card that is not there admits nobody", func(t *testing.T, s Store) {
		_, admitted, err := s.TakeTry(context.Background(), "nobody", 3)
		require.NoError(t, err)
		require.False(t, admitted)
	}},
	{"of fifty callers at once three are admitted, round after round", func(t *testing.T, s Store) {
		const rounds, callers, limit = 200, 50, 3
		withCards(t, s, "card")
		for round := range int64(rounds) {
			var admissions, sum atomic.Int64
			together(t, callers, func(int) error {
				taken, admitted, err := s.TakeTry(context.Background(), "card", limit)
				if admitted {
					admissions.Add(1)
					sum.Add(taken.TakeNumber)
				}
				return err
			})
			require.EqualValues(t, limit, admissions.Load())
			require.Equal(t, 3*limit*round+1+2+3, sum.Load(), "each take has a number of its own")
			tx(t, s, func(tx pin.Tx) error { return tx.ResetTries("card", limit) })
		}
	}},
	{"reset puts the counter to the limit", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for _, limit := range []int{1, 15, 3} {
			tx(t, s, func(tx pin.Tx) error { return tx.ResetTries("card", limit) })
			require.Equal(t, limit, record(t, s, "card").PIN.TriesLeft)
		}
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.ResetTries("nobody", 3) }), pin.NotFound)
	}},
	{"giving back tells the tries left", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		give := func(cardID string, take int64, limit int) (left int, err error) {
			err = in(s, func(tx pin.Tx) (err error) { left, err = tx.GiveBack(cardID, take, limit); return err })
			return left, err
		}
		for range 3 {
			_, _, err := s.TakeTry(context.Background(), "card", 3)
			require.NoError(t, err)
		}
		for _, step := range []struct {
			take  int64
			limit int
			left  int
		}{{1, 3, 1}, {3, 3, 3}, {2, 3, 3}, {3, 5, 5}, {3, 2, 2}} {
			left, err := give("card", step.take, step.limit)
			require.NoError(t, err)
			require.Equal(t, step.left, left, "%+v", step)
		}
		_, err := give("nobody", 1, 3)
		requireCode(t, err, pin.NotFound)
	}},
	{"in whatever order tries are taken and given back, those after the last right one are lost", func(t *testing.T, s Store) {
		withCards(t, s)
		for limit := 1; limit <= 15; limit++ {
			c := referring("program", fmt.Sprint("limit ", limit))
			tx(t, s, func(tx pin.Tx) error { return tx.InsertCard(c, "", newPIN()) })
		}
		rapid.Check(t, func(t *rapid.T) {
			limit := rapid.IntRange(1, 15).Draw(t, "limit")
			card := fmt.Sprint("limit ", limit)
			tx(t, s, func(tx pin.Tx) error {
				require.NoError(t, tx.ResetTries(card, limit))
				first, admitted, err := tx.TakeTry(card, limit)
				require.NoError(t, err)
				require.True(t, admitted)
				takes, right := first.TakeNumber, first.TakeNumber-1 // the newest take, and the newest one given back
				for range rapid.IntRange(0, 40).Draw(t, "steps") {
					left := limit - int(takes-right)
					if rapid.Bool().Draw(t, "take") {
						taken, admitted, err := tx.TakeTry(card, limit)
						require.NoError(t, err)
						require.Equal(t, left > 0, admitted)
						if admitted {
							takes++
							require.Equal(t, takes, taken.TakeNumber)
							require.Equal(t, left-1, taken.TriesLeft)
						}
						continue
					}
					number := rapid.Int64Range(first.TakeNumber, takes).Draw(t, "number")
					right = max(right, number)
					given, err := tx.GiveBack(card, number, limit)
					require.NoError(t, err)
					require.Equal(t, limit-int(takes-right), given)
				}
				return nil
			})
		})
	}},
	{"a wrong guess made beside a right one still counts", func(t *testing.T, s Store) {
		const right, wrong, limit = 20, 5, 15
		withCards(t, s, "card")
		tx(t, s, func(tx pin.Tx) error { return tx.ResetTries("card", limit) })
		var last atomic.Int64 // the newest take that was right
		var all atomic.Int64
		together(t, right+wrong, func(i int) error {
			taken, admitted, err := s.TakeTry(context.Background(), "card", limit)
			if err != nil || !admitted {
				return err
			}
			all.Add(1)
			if i < wrong {
				return nil
			}
			for before := last.Load(); before < taken.TakeNumber && !last.CompareAndSwap(before, taken.TakeNumber); before = last.Load() {
			}
			return in(s, func(tx pin.Tx) error { _, err := tx.GiveBack("card", taken.TakeNumber, limit); return err })
		})
		require.EqualValues(t, limit-(all.Load()-last.Load()), record(t, s, "card").PIN.TriesLeft)
	}},
}

// verifier is that of a PIN's nth version.
func verifier(n int) []byte { return fmt.Appendf(nil, "verifier %d", n) }

var pinTests = []test{
	{"a PIN replaced leaves its verifier in the history and the counter as it is", func(t *testing.T, s Store) {
		withCards(t, s, "card", "other")
		_, _, err := s.TakeTry(context.Background(), "card", 3)
		require.NoError(t, err)
		replacement := pin.PINRecord{State: pin.PINChosen, Verifier: verifier(2), Version: 77, TriesLeft: 9, Takes: 9, ChangedAt: at.AddDate(1, 0, 0)}
		tx(t, s, func(tx pin.Tx) error { return tx.ReplacePIN("card", 1, replacement) })
		want := replacement
		want.Version, want.TriesLeft, want.Takes = 2, 2, 1
		require.Equal(t, want, record(t, s, "card").PIN)
		require.Equal(t, newPIN(), record(t, s, "other").PIN)
		require.Equal(t, [][]byte{verifier(1)}, history(t, s, "card", 10))
		require.Empty(t, history(t, s, "other", 10))
	}},
	{"a PIN must be replaced from the version that is stored, unless any will do", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		for _, version := range []int64{-1, 2} {
			requireCode(t, in(s, func(tx pin.Tx) error { return tx.ReplacePIN("card", version, newPIN()) }), pin.Conflict)
		}
		require.Equal(t, newPIN(), record(t, s, "card").PIN)
		tx(t, s, func(tx pin.Tx) error { return tx.ReplacePIN("card", 0, newPIN()) })
		require.EqualValues(t, 2, record(t, s, "card").PIN.Version)
		requireCode(t, in(s, func(tx pin.Tx) error { return tx.ReplacePIN("nobody", 0, newPIN()) }), pin.NotFound)
	}},
	{"the history is newest first and ends after twelve", func(t *testing.T, s Store) {
		withCards(t, s, "card", "other")
		tx(t, s, func(tx pin.Tx) error { return tx.ReplacePIN("other", 0, newPIN()) })
		for n := 2; n <= 20; n++ {
			tx(t, s, func(tx pin.Tx) error {
				return tx.ReplacePIN("card", int64(n-1), pin.PINRecord{Verifier: verifier(n), ChangedAt: at})
			})
		}
		require.Equal(t, [][]byte{verifier(19), verifier(18), verifier(17), verifier(16)}, history(t, s, "card", 4))
		all := history(t, s, "card", 100)
		require.Len(t, all, 12)
		require.Equal(t, verifier(8), all[11])
		require.Len(t, history(t, s, "other", 100), 1)
	}},
	{"a card that had no PIN leaves none in the history", func(t *testing.T, s Store) {
		withCards(t, s)
		tx(t, s, func(tx pin.Tx) error {
			return tx.InsertCard(referring("program", "card"), "", pin.PINRecord{State: pin.PINNone, ChangedAt: at})
		})
		tx(t, s, func(tx pin.Tx) error { return tx.ReplacePIN("card", 0, newPIN()) })
		require.Empty(t, history(t, s, "card", 9))
	}},
	{"of many changes from one version one succeeds", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		var won atomic.Int64
		together(t, 20, func(int) error {
			err := in(s, func(tx pin.Tx) error { return tx.ReplacePIN("card", 1, newPIN()) })
			switch pin.CodeOf(err) {
			case "":
				won.Add(1)
			case pin.Conflict:
				return nil
			}
			return err
		})
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 2, record(t, s, "card").PIN.Version)
	}},
	{"of many changes at once each is remembered", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		together(t, 10, func(i int) error {
			return in(s, func(tx pin.Tx) error {
				return tx.ReplacePIN("card", 0, pin.PINRecord{Verifier: verifier(i + 2), ChangedAt: at})
			})
		})
		remembered := append(history(t, s, "card", 100), record(t, s, "card").PIN.Verifier)
		want := make([][]byte, 11)
		for i := range want {
			want[i] = verifier(i + 1)
		}
		require.ElementsMatch(t, want, remembered)
	}},
	{"the retrievable PINs of a program can be forgotten", func(t *testing.T, s Store) {
		withCards(t, s, "a", "b")
		tx(t, s, func(tx pin.Tx) error {
			if err := tx.InsertProgram(newProgram("other")); err != nil {
				return err
			}
			return tx.InsertCard(newCard("other", "c"), "", newPIN())
		})
		tx(t, s, func(tx pin.Tx) error { return tx.DropCiphertexts("program") })
		want := newPIN()
		want.Ciphertext = nil
		require.Equal(t, want, record(t, s, "a").PIN)
		require.Equal(t, want, record(t, s, "b").PIN)
		require.Equal(t, newPIN(), record(t, s, "c").PIN)
	}},
}

// history is the last n verifiers of a card that were replaced.
func history(t *testing.T, s Store, cardID string, n int) (verifiers [][]byte) {
	tx(t, s, func(tx pin.Tx) (err error) { verifiers, err = tx.PINHistory(cardID, n); return err })
	return verifiers
}
