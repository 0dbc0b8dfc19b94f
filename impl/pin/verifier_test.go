package pin_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
)

// verified is what a verification finds.
func (w *world) verified(t *testing.T, o pin.VerifyOptions) pin.Summary {
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
	keyringtest.WithoutNetwork(t)
	t.Parallel()
	for _, test := range []struct{ breaks, looks int }{{0, 0}, {1, 3}, {2, 6}, {100, 300}, {101, 301}, {105, 305}} {
		w := newMemoryWorld(t)
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
			s := w.verified(t, pin.VerifyOptions{})
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
	keyringtest.WithoutNetwork(t)
	t.Parallel()
	for looks, want := range map[int][]pin.Finding{
		1: nil, 2: nil, 3: nil,
		4: {{Fault: pin.FaultHeadless, Count: 1, Breaks: []pin.Break{{Fault: pin.FaultHeadless, Table: "audit_events", ID: "late", Seq: 1}}}},
	} {
		w := newMemoryWorld(t)
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
			require.Equal(t, want, w.verified(t, pin.VerifyOptions{}).Findings)
		})
	}
}

// What was read of a chain is not read again.
func TestVerifyTrailReadsNoEventTwice(t *testing.T) {
	keyringtest.WithoutNetwork(t)
	t.Parallel()
	w := prepareMore(t)
	db, key := w.store.(*memory), [3]string{string(pin.TableChains), "", "program"}
	row := db.rows[key]
	delete(db.rows, key)
	w.tap.count = true
	w.tap.after = meanwhile("CardsOf", func() { db.rows[key] = row })
	w.tap.before = meanwhile("Rows programs", func() {
		_, err := w.other.UpdateProgram(by(t), "program", func(p *pin.Program) error { p.TryLimit = 7; return nil }, pin.Memo{})
		require.NoError(t, err)
	})
	synctest.Test(t, func(t *testing.T) {
		s := w.verified(t, pin.VerifyOptions{})
		require.Empty(t, s.Findings)
		var events, reads int64
		for _, chain := range db.events {
			events += int64(len(chain))
		}
		require.Equal(t, events, s.Events)
		for _, call := range w.tap.calls {
			if call == "ChainEvents" {
				reads++
			}
		}
		require.EqualValues(t, 2, reads, "all, and those of the program")
	})
}

// batches keeps how many rows were asked for at once.
type batches struct {
	pin.Store
	of []int
}

func (b *batches) RowsOf(ctx context.Context, t pin.Table, cardIDs, ids []string) ([]pin.Row, error) {
	if t == pin.TableRecords && len(ids) > 0 {
		b.of = append(b.of, len(ids))
	}
	return b.Store.RowsOf(ctx, t, cardIDs, ids)
}

// Rows are looked for a page at a time, and those behind a full page are not lost.
func TestVerifyTrailTurnsEveryPage(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	db := w.store.(*memory)
	for range 501 {
		_, err := recorded(by(t), w.Vault, w.q, `{}`)
		require.NoError(t, err)
	}
	b := &batches{Store: w.store}
	v := newVault(b, w.ring, w.clock, nil)
	s, err := v.VerifyTrail(by(t), pin.VerifyOptions{})
	require.NoError(t, err)
	require.Empty(t, s.Findings)
	require.Equal(t, []int{500, 1, 497, 4}, b.of, "that events tell of, and that look-ups lead to, which come after three others")

	for i := range 501 {
		id := fmt.Sprintf("answer-%03d", i)
		db.rows[[3]string{string(pin.TableReplays), "", id}] = pin.Row{Table: pin.TableReplays, ID: id, Version: 1}
	}
	forged := 1001 - len(db.lookups)
	for i := range forged {
		db.lookups[pin.Lookup{Kind: pin.KindURN, Value: fmt.Sprintf("urn-%04d", i), ProgramID: w.program.ID}] = "nobody"
	}
	s, err = v.VerifyTrail(by(t), pin.VerifyOptions{})
	require.NoError(t, err)
	require.Equal(t, []pin.Finding{found(pin.FaultSeal, 501, "replays", "answer-000", 0, ""),
		found(pin.FaultLookupForged, int64(forged), "card_lookup", "nobody", 0, pin.KindURN)}, s.Findings)
	require.EqualValues(t, 1001, s.Lookups)
}

// found is one fault at its places, of which the first is named.
func found(f pin.Fault, count int64, table, id string, seq int64, kind pin.Kind) pin.Finding {
	return pin.Finding{Fault: f, Count: count, Breaks: []pin.Break{{Fault: f, Table: table, ID: id, Seq: seq, Kind: kind}}}
}

// tampering is what somebody does to a world with something of everything, and all that a verification finds then.
type tampering struct {
	tamper func(w *prepared, db *memory)
	want   func(w *prepared) []pin.Finding
}

func tamperings(t *testing.T) map[string]tampering {
	row := func(w *prepared, table pin.Table, id string) [3]string {
		card := ""
		if table == pin.TableSessions || table == pin.TableRecords {
			card = w.card.ID
		}
		return [3]string{string(table), card, id}
	}
	mar := func(w *prepared, table pin.Table, id string) {
		db := w.store.(*memory)
		r := db.rows[row(w, table, id)]
		r.Seal = []byte("x")
		db.rows[row(w, table, id)] = r
	}
	resealed := func(w *prepared, table pin.Table, id string, change func(*pin.Row)) {
		db := w.store.(*memory)
		r := db.rows[row(w, table, id)]
		change(&r)
		db.rows[row(w, table, id)] = w.reseal(t, r)
	}
	marCard := func(w *prepared, id string) {
		db := w.store.(*memory)
		r := db.cards[id]
		r.Seal = []byte("x")
		db.cards[id] = r
	}
	urn := func(w *prepared, value string) pin.Lookup {
		return pin.Lookup{Kind: pin.KindURN, Value: value, ProgramID: w.program.ID}
	}
	one := func(f pin.Fault, table, id string, seq int64, kind pin.Kind) func(*prepared) []pin.Finding {
		return func(*prepared) []pin.Finding { return []pin.Finding{found(f, 1, table, id, seq, kind)} }
	}
	return map[string]tampering{
		"nothing": {func(*prepared, *memory) {}, func(*prepared) []pin.Finding { return nil }},
		"the seal of a chain": {func(w *prepared, _ *memory) { mar(w, pin.TableChains, "server") },
			one(pin.FaultSeal, "chains", "server", 0, "")},
		"the seal of a card, and what finds the card after it": {func(w *prepared, db *memory) {
			marCard(w, w.card.ID)
			delete(db.lookups, urn(w, "second"))
		}, func(w *prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultSeal, 1, "cards", w.card.ID, 0, ""), found(pin.FaultLookupMissing, 1, "card_lookup", "second", 0, pin.KindURN)}
		}},
		"a chain's row with a broken seal in a card's place": {func(w *prepared, _ *memory) {
			w.eventless(t, w.card.ID)
			mar(w, pin.TableChains, w.card.ID)
		}, func(w *prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultSeal, 1, "chains", w.card.ID, 0, "")}
		}},
		"a chain's row in a card's place": {func(w *prepared, _ *memory) { w.eventless(t, w.card.ID) }, func(w *prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultHeadBehind, 1, "chains", w.card.ID, 1, "")}
		}},
		"the head of a chain": {func(w *prepared, db *memory) {
			r, err := pin.Sealed(w.ring, db.rows[row(w, pin.TableChains, "server")], pin.Head{Seq: 4, MAC: []byte("m")})
			require.NoError(t, err)
			db.rows[row(w, pin.TableChains, "server")] = r
		}, one(pin.FaultHeadOther, "chains", "server", 4, "")},
		"the seals of two programs": {func(w *prepared, _ *memory) {
			mar(w, pin.TablePrograms, w.program.ID)
			mar(w, pin.TablePrograms, "program")
		}, func(w *prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultSeal, 2, "programs", w.program.ID, 0, "")}
		}},
		"the seal of a client, and the client after it": {func(w *prepared, _ *memory) {
			mar(w, pin.TableClients, "client")
			resealed(w, pin.TableClients, "second client", func(r *pin.Row) { r.Version = 7 })
		}, func(*prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultSeal, 1, "clients", "client", 0, ""), found(pin.FaultRowUntold, 1, "clients", "second client", 0, "")}
		}},
		"two clients that are newer than the trail": {func(w *prepared, _ *memory) {
			for _, id := range []string{"client", "second client"} {
				resealed(w, pin.TableClients, id, func(r *pin.Row) { r.Version = 7 })
			}
		}, func(*prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultRowUntold, 2, "clients", "client", 0, "")}
		}},
		"two zone keys that are older than the trail": {func(w *prepared, _ *memory) {
			for _, id := range []string{"zpk", "zpk 2"} {
				resealed(w, pin.TableZoneKeys, id, func(r *pin.Row) { r.Version = 0 })
			}
		}, func(*prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultRowMissing, 2, "zone_keys", "zpk", 0, "")}
		}},
		"a program that is older than the trail": {func(w *prepared, _ *memory) {
			resealed(w, pin.TablePrograms, "program", func(r *pin.Row) { r.Version = 1 })
		}, one(pin.FaultRowOld, "programs", "program", 0, "")},
		"a client is not there": {func(w *prepared, db *memory) { delete(db.rows, row(w, pin.TableClients, "client")) },
			one(pin.FaultRowMissing, "clients", "client", 0, "")},
		"a record is not there": {func(w *prepared, db *memory) {
			delete(db.rows, row(w, pin.TableRecords, "fax:"+w.record))
			delete(db.lookups, pin.Lookup{Kind: pin.KindRecord, Value: "fax:" + w.record, ProgramID: w.program.ID})
		}, func(w *prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultRowMissing, 1, "contract_records", "fax:"+w.record, 0, "")}
		}},
		"what finds a session, and a record": {func(w *prepared, db *memory) {
			delete(db.lookups, pin.Lookup{Kind: pin.KindSession, Value: "session", ProgramID: w.program.ID})
			delete(db.lookups, pin.Lookup{Kind: pin.KindRecord, Value: "fax:" + w.record, ProgramID: w.program.ID})
		}, func(*prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultLookupMissing, 2, "card_lookup", "session", 0, pin.KindSession)}
		}},
		"a look-up leads to no session, and the one after it to another card": {func(w *prepared, db *memory) {
			delete(db.rows, row(w, pin.TableSessions, "session"))
			db.lookups[urn(w, "1")] = "second"
		}, func(w *prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultLookupMissing, 1, "card_lookup", w.card.ID, 0, pin.KindURN), found(pin.FaultLookupForged, 2, "card_lookup", w.card.ID, 0, pin.KindSession)}
		}},
		"a look-up that leads nowhere": {func(w *prepared, db *memory) { db.lookups[urn(w, "x")] = "nobody" },
			one(pin.FaultLookupForged, "card_lookup", "nobody", 0, pin.KindURN)},
		"the seal of an answer": {func(w *prepared, db *memory) {
			for key := range db.rows {
				if key[0] == string(pin.TableReplays) {
					mar(w, pin.TableReplays, key[2])
				}
			}
		}, func(w *prepared) []pin.Finding {
			first := ""
			for key := range w.store.(*memory).rows {
				if key[0] == string(pin.TableReplays) && (first == "" || key[2] < first) {
					first = key[2]
				}
			}
			return []pin.Finding{found(pin.FaultSeal, 3, "replays", first, 0, "")}
		}},
	}
}

// prepareMore is a world with a second one of what a verification goes through.
func prepareMore(t *testing.T) *prepared {
	t.Helper()
	w := prepare(t)
	_, err := w.CreateCard(by(t), pin.NewCard{ID: "second", ProgramID: w.program.ID, NoPIN: true, References: []pin.Reference{{Kind: pin.KindURN, Value: "second"}}}, pin.Memo{})
	require.NoError(t, err)
	_, _, err = w.CreateClient(by(t), pin.Client{ID: "second client", Contract: "thredd"}, "", pin.Memo{})
	require.NoError(t, err)
	p := pin.NewProgram("test")
	p.ID = "program"
	_, err = w.CreateProgram(by(t), p, pin.Memo{})
	require.NoError(t, err)
	_, err = w.UpdateProgram(by(t), p.ID, func(p *pin.Program) error { p.TryLimit = 5; return nil }, pin.Memo{})
	require.NoError(t, err)
	require.NoError(t, w.ImportZoneKey(by(t), pin.ZoneKey{ID: "zpk 2", Usage: pin.UsageZonePIN, Algorithm: "TDES", Wrapped: []byte("x"), Version: 1}, pin.Memo{}))
	return w
}

// Each break is told once, and none hides another one.
func TestVerifyTrailFindsAllThatIsBrokenOnce(t *testing.T) {
	keyringtest.WithoutNetwork(t)
	t.Parallel()
	for name, test := range tamperings(t) {
		w := prepareMore(t)
		test.tamper(w, w.store.(*memory))
		synctest.Test(t, func(t *testing.T) {
			require.Equal(t, test.want(w), w.verified(t, pin.VerifyOptions{}).Findings, name)
		})
	}
}

// Whatever cannot be read, also while a break is looked at again: nothing is said of the rest.
func TestVerifyTrailThatCannotReadEverythingFails(t *testing.T) {
	keyringtest.WithoutNetwork(t)
	t.Parallel()
	for name, test := range tamperings(t) {
		w := prepareMore(t)
		test.tamper(w, w.store.(*memory))
		synctest.Test(t, func(t *testing.T) {
			for n := 1; ; n++ {
				made := 0
				w.tap.before = func(string) error {
					if made++; made == n {
						return errDown
					}
					return nil
				}
				s, err := w.VerifyTrail(by(t), pin.VerifyOptions{})
				if made < n {
					require.NoError(t, err)
					return
				}
				require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%s, number %d", name, n)
				require.Empty(t, s)
			}
		})
	}
}

// What others write while the trail is verified explains what does not fit.
func TestVerifyTrailReadsOnWhereOthersWrite(t *testing.T) {
	keyringtest.WithoutNetwork(t)
	t.Parallel()
	guess := func(w *prepared) {
		_, err := w.other.Verify(by(t), w.q, plain(t, right), pin.Memo{})
		require.NoError(t, err)
	}
	update := func(w *prepared, id string, limit int) {
		_, err := w.other.UpdateProgram(by(t), id, func(p *pin.Program) error { p.TryLimit = limit; return nil }, pin.Memo{})
		require.NoError(t, err)
	}
	create := func(w *prepared) {
		p := pin.NewProgram("test")
		p.ID = "new"
		_, err := w.other.CreateProgram(by(t), p, pin.Memo{})
		require.NoError(t, err)
	}
	refer := func(w *prepared, n int) {
		_, err := w.other.UpdateCard(by(t), w.q, func(c *pin.Card) error {
			c.References = []pin.Reference{{Kind: pin.KindURN, Value: fmt.Sprint("urn ", n)}}
			return nil
		}, pin.Memo{})
		require.NoError(t, err)
	}
	purge := func(w *prepared) {
		db := w.store.(*memory)
		delete(db.rows, [3]string{string(pin.TableSessions), w.card.ID, "session"})
		delete(db.lookups, pin.Lookup{Kind: pin.KindSession, Value: "session", ProgramID: w.program.ID})
	}
	each := func(name string, do func(n int)) func(string) error {
		n := 0
		return func(call string) error {
			if call == name {
				n++
				do(n)
			}
			return nil
		}
	}
	forge := func(w *prepared, change func(since []pin.EventRow) []pin.EventRow) {
		db := w.store.(*memory)
		before := len(db.events[w.card.ID])
		for range 3 {
			guess(w)
		}
		events := db.events[w.card.ID]
		db.events[w.card.ID] = append(events[:before:before], change(events[before:])...)
	}
	for name, test := range map[string]struct {
		others func(w *prepared)
		want   func(w *prepared) []pin.Finding // nil: none
	}{
		"a card is used": {func(w *prepared) { w.tap.before = meanwhile("Cards", func() { guess(w) }) }, nil},
		"a card is used, and between all looks at it": {func(w *prepared) {
			w.tap.before = meanwhile("Cards", func() { guess(w) })
			w.tap.after = each("CardsOf", func(int) { guess(w) })
		}, nil},
		"a card is used and what was written is changed": {func(w *prepared) {
			w.tap.before = meanwhile("Cards", func() {
				forge(w, func(since []pin.EventRow) []pin.EventRow { since[0].Body = []byte("{}"); return since })
			})
		}, func(w *prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultEventChanged, 1, "audit_events", w.card.ID, 4, "")}
		}},
		"a card is used and what was written is removed": {func(w *prepared) {
			w.tap.before = meanwhile("Cards", func() { forge(w, func(since []pin.EventRow) []pin.EventRow { return since[1:] }) })
		}, func(w *prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultEventMissing, 1, "audit_events", w.card.ID, 4, "")}
		}},
		"a program is made":    {func(w *prepared) { w.tap.before = meanwhile("Rows programs", func() { create(w) }) }, nil},
		"a program is changed": {func(w *prepared) { w.tap.before = meanwhile("Rows programs", func() { update(w, "program", 7) }) }, nil},
		"a program is changed between all looks at it": {func(w *prepared) {
			w.tap.before = meanwhile("Rows programs", func() { update(w, "program", 7) })
			w.tap.after = each("Row programs", func(n int) { update(w, "program", 7+n) })
		}, nil},
		"a program is made and changed more often than a page has events, and nothing is looked at again": {func(w *prepared) {
			for i := range 100 {
				w.eventless(t, fmt.Sprintf("lost-%02d", i))
			}
			w.tap.before = meanwhile("Rows programs", func() {
				create(w)
				for n := range 1000 {
					update(w, "new", 3+n%2)
				}
			})
		}, func(*prepared) []pin.Finding {
			return []pin.Finding{found(pin.FaultTailMissing, 100, "audit_events", "lost-00", 1, "")}
		}},
		"a client that no event tells of is gone again": {func(w *prepared) {
			db, key := w.store.(*memory), [3]string{string(pin.TableClients), "", "third client"}
			db.rows[key] = w.reseal(t, pin.Row{Table: pin.TableClients, ID: "third client", Version: 1, Body: []byte("{}")})
			w.tap.after = meanwhile("Rows clients", func() { delete(db.rows, key) })
		}, nil},
		"a session shows after what finds it": {func(w *prepared) {
			db, key := w.store.(*memory), [3]string{string(pin.TableSessions), w.card.ID, "session"}
			row := db.rows[key]
			w.tap.after = both(meanwhile("Lookups", func() { delete(db.rows, key) }), meanwhile("RowsOf pin_sessions", func() { db.rows[key] = row }))
		}, nil},
		"a card gets another reference":                   {func(w *prepared) { w.tap.after = each("Cards", func(n int) { refer(w, n) }) }, nil},
		"a card loses the reference by which it is found": {func(w *prepared) { w.tap.after = each("Lookups", func(n int) { refer(w, n) }) }, nil},
		"a session is purged":                             {func(w *prepared) { w.tap.after = meanwhile("Rows pin_sessions", func() { purge(w) }) }, nil},
		"a session is purged a bit later":                 {func(w *prepared) { w.tap.after = meanwhile("Lookups", func() { purge(w) }) }, nil},
		"a session is purged later still":                 {func(w *prepared) { w.tap.before = meanwhile("RowsOf pin_sessions", func() { purge(w) }) }, nil},
	} {
		w := prepareMore(t)
		test.others(w)
		synctest.Test(t, func(t *testing.T) {
			s := w.verified(t, pin.VerifyOptions{})
			var want []pin.Finding
			if test.want != nil {
				want = test.want(w)
			}
			require.Equal(t, want, s.Findings, name)
			require.Zero(t, s.Unsettled, name)
		})
	}
}

// A card that gets another reference with every look is neither whole nor broken.
func TestVerifyTrailTellsHowManyCardsDidNotKeepStill(t *testing.T) {
	keyringtest.WithoutNetwork(t)
	t.Parallel()
	w := prepareMore(t)
	n := 0
	w.tap.before = func(call string) error {
		if call == "LookupsOf" {
			n++
			_, err := w.other.UpdateCard(by(t), w.q, func(c *pin.Card) error {
				c.References = []pin.Reference{{Kind: pin.KindURN, Value: fmt.Sprint("urn ", n)}}
				return nil
			}, pin.Memo{})
			require.NoError(t, err)
		}
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		s := w.verified(t, pin.VerifyOptions{})
		require.Empty(t, s.Findings)
		require.EqualValues(t, 1, s.Unsettled)
		require.Equal(t, 53, n, "with the page, fifty times alone, and for sessions and records")
	})
}

func TestVerifyTrailCountsWhatItHasLookedAt(t *testing.T) {
	t.Parallel()
	w := prepareMore(t)
	w.tap.count = true
	s := w.verified(t, pin.VerifyOptions{})
	var events int64
	for _, chain := range w.store.(*memory).events {
		events += int64(len(chain))
	}
	require.Equal(t, pin.Summary{Events: events, Chains: 5, Cards: 2, Rows: 11, Lookups: int64(len(w.store.(*memory).lookups))}, s)
	calls := map[string]int{}
	for _, call := range w.tap.calls {
		calls[call]++
	}
	require.Equal(t, map[string]int{"ChainEvents": 1, "Cards": 1, "Rows chains": 1, "LookupsOf": 3, "Rows programs": 1, "Rows clients": 1, "Rows zone_keys": 1, "Rows webhook_endpoints": 1,
		"Rows pin_sessions": 1, "Rows approvals": 1, "Rows contract_records": 1, "Rows replays": 1, "Lookups": 1, "RowsOf pin_sessions": 1, "RowsOf approvals": 1, "RowsOf contract_records": 2, "CardsOf": 1, "Row chains": 1},
		calls, "what is whole is read once")

	db := w.store.(*memory)
	marred := db.cards[w.card.ID]
	marred.Seal = nil
	db.cards[w.card.ID] = marred
	w.tap.calls = nil
	require.Len(t, w.verified(t, pin.VerifyOptions{}).Findings, 1)
	calls["CardsOf"] = 0
	for _, call := range w.tap.calls {
		if call == "CardsOf" {
			calls[call]++
		}
	}
	require.Equal(t, 1, calls["CardsOf"], "a card with a broken seal, and the one after it, are read once too")
}

// Chains are counted that there is something of in the database: events, or the row that carries their head.
func TestVerifyTrailCountsTheChainsThatAreThere(t *testing.T) {
	keyringtest.WithoutNetwork(t)
	t.Parallel()
	w := newMemoryWorld(t)
	counted := func(o pin.VerifyOptions) (chains, heads int64) {
		synctest.Test(t, func(t *testing.T) {
			s := w.verified(t, o)
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
	w := newMemoryWorld(t)
	for _, n := range []int{1, 19, 20, 21, 25} {
		var ids []string
		var breaks []pin.Break
		for i := range n {
			ids = append(ids, fmt.Sprintf("gone-%02d", i))
			if i < 20 {
				breaks = append(breaks, pin.Break{Fault: pin.FaultRolledBack, Table: "audit_events", ID: ids[i], Seq: 1})
			}
		}
		s := w.verified(t, pin.VerifyOptions{Expected: expected(nil, ids...)})
		require.Equal(t, []pin.Finding{{Fault: pin.FaultRolledBack, Count: int64(n), Breaks: breaks}}, s.Findings)
	}
}

// A checkpoint that cannot be read to its end says nothing of what is missing.
func TestACheckpointThatCannotBeReadEndsTheVerification(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	no := errors.New("no")
	_, err := w.VerifyTrail(by(t), pin.VerifyOptions{Expected: expected(no, "gone")})
	require.ErrorIs(t, err, no)
}
