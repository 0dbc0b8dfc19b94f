package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

var listTests = []test{
	{"rows come in pages, in the order of their ids, byte by byte", func(t *testing.T, s Store) {
		withCards(t, s)
		require.NoError(t, s.Wipe(context.Background()))
		for _, table := range tables {
			for _, id := range shuffled {
				swap(t, s, beside(nil, newRow(table, id)))
			}
			require.Equal(t, bytewise, paged(t, 2, func(p pin.Page) ([]string, error) {
				page, err := s.List(context.Background(), table, "", p)
				for _, r := range page {
					require.Equal(t, newRow(table, r.ID), r)
				}
				return rowIDs(page), err
			}), table)
		}
	}},
	{"a program narrows a list to its own", func(t *testing.T, s Store) {
		for _, table := range []pin.Table{pin.TableClients, pin.TableZoneKeys, pin.TableWebhooks, pin.TableSessions, pin.TableApprovals, pin.TableRecords} {
			for i, id := range bytewise {
				r := newRow(table, id)
				r.ProgramID = []string{"even", "odd"}[i%2]
				swap(t, s, beside(nil, r))
			}
			for programID, want := range map[string][]string{"": bytewise, "odd": {"B", "_", "a-1", "b"}, "even": {"A", "Z-1", "a", "a1", "é"}, "none": {}} {
				require.Equal(t, want, paged(t, 2, func(p pin.Page) ([]string, error) {
					page, err := s.List(context.Background(), table, programID, p)
					return rowIDs(page), err
				}), "%s of %s", table, programID)
			}
		}
	}},
	{"cards come in pages, in the order of their ids, of one program or of all", func(t *testing.T, s Store) {
		withCards(t, s, shuffled...)
		twins(t, s)
		want := append(slices.Clone(bytewise), "twin")
		slices.Sort(want)
		for programID, want := range map[string][]string{"": want, "program": bytewise, "other": {"twin"}, "none": {}} {
			require.Equal(t, want, paged(t, 2, func(p pin.Page) ([]string, error) {
				page, err := s.Cards(context.Background(), programID, p)
				for _, c := range page {
					require.Equal(t, stored(t, s, c.ID), c)
				}
				return cardIDs(page), err
			}), programID)
		}
	}},
	{"look-ups come in pages, in the order of kind, value, program and slot", func(t *testing.T, s Store) {
		withCards(t, s, "b", "a")
		twins(t, s)
		var all []pin.Lookup
		for after := (pin.Lookup{}); ; after = all[len(all)-1] {
			page, err := s.Lookups(context.Background(), after, 2)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), 2)
			if all = append(all, page...); len(page) < 2 {
				break
			}
		}
		want := slices.Concat(making(newCard("a")).Add, making(newCard("b")).Add)
		for _, l := range making(newCard("a")).Add {
			if l.ProgramID, l.CardID = "other", "twin"; l.Slot != "" {
				l.Slot = "twin"
			}
			want = append(want, l)
		}
		slices.SortFunc(want, func(a, b pin.Lookup) int {
			key := func(l pin.Lookup) string {
				return strings.Join([]string{string(l.Kind), l.Value, l.ProgramID, l.Slot}, "\x00")
			}
			return strings.Compare(key(a), key(b))
		})
		require.Equal(t, want, all)
	}},
	{"of look-ups that are asked for those come that are there", func(t *testing.T, s Store) {
		withCards(t, s, "a", "b")
		here := append(making(newCard("a")).Add, unique(pin.KindURN, "urn b", "b"))
		gone := []pin.Lookup{unique(pin.KindURN, "urn c", "c"), unique(pin.KindPublicToken, "urn a", "a"), {Kind: pin.KindURN, Value: "urn a", ProgramID: "other", CardID: "a"},
			{Kind: pin.KindURN, Value: "urn a", ProgramID: "program", Slot: "a", CardID: "a"}}
		got, err := s.LookupsOf(context.Background(), slices.Concat(gone[:2], here, gone[2:]))
		require.NoError(t, err)
		require.ElementsMatch(t, here, got)
		got, err = s.LookupsOf(context.Background(), []pin.Lookup{unique(pin.KindURN, "urn a", "somebody else")})
		require.NoError(t, err)
		require.Equal(t, []pin.Lookup{unique(pin.KindURN, "urn a", "a")}, got, "it tells whose it is")
		for _, none := range [][]pin.Lookup{nil, gone} {
			got, err = s.LookupsOf(context.Background(), none)
			require.NoError(t, err)
			require.Empty(t, got)
		}
	}},
	{"events come in pages: a chain's in their order, others by id", func(t *testing.T, s Store) {
		for _, e := range []struct {
			chain       string
			seq         int64
			id, program string
		}{{"x", 1, "5", "p"}, {"y", 1, "4", "q"}, {"x", 2, "3", "q"}, {"y", 2, "2", "p"}, {"x", 3, "1", "p"}} {
			all := events(e.chain, e.seq, 1)
			all[0].ID, all[0].ProgramID = e.id, e.program
			swap(t, s, pin.Change{Events: all})
		}
		for _, c := range []struct {
			q    pin.AuditQuery
			want []string
		}{
			{pin.AuditQuery{}, []string{"1", "2", "3", "4", "5"}},
			{pin.AuditQuery{ProgramID: "p"}, []string{"1", "2", "5"}},
			{pin.AuditQuery{ID: "3"}, []string{"3"}},
			{pin.AuditQuery{ID: "3", ProgramID: "p"}, []string{}},
			{pin.AuditQuery{Chain: "x"}, []string{"5", "3", "1"}},
			{pin.AuditQuery{Chain: "y", ProgramID: "p"}, []string{"2"}},
			{pin.AuditQuery{Chain: "z"}, []string{}},
		} {
			require.Equal(t, c.want, paged(t, 2, func(p pin.Page) ([]string, error) {
				q := c.q
				q.Page = p
				page, err := s.Events(context.Background(), q)
				return eventIDs(page), err
			}), "%+v", c.q)
		}
	}},
	{"the events of chains come after a place, chain by chain", func(t *testing.T, s Store) {
		for _, chain := range []string{"b", "a", "B"} {
			swap(t, s, pin.Change{Events: events(chain, 1, 3)})
		}
		all := slices.Concat(events("B", 1, 3), events("a", 1, 3), events("b", 1, 3))
		for i, after := range append([]pin.EventRow{{}}, all...) {
			for _, limit := range []int{1, 4, 100} {
				got, err := s.ChainEvents(context.Background(), after.Chain, after.Seq, limit)
				require.NoError(t, err)
				require.Equal(t, append([]pin.EventRow{}, all[i:min(i+limit, len(all))]...), got, "after %s %d", after.Chain, after.Seq)
			}
		}
	}},
}

var numberTests = []test{
	{"each sequence of each program counts for itself, from one", func(t *testing.T, s Store) {
		want := int64(1)
		for _, n := range []int64{1, 100, 3, 1} {
			for _, sequence := range []string{"one", "other"} {
				for _, program := range []string{"", "a", "b"} {
					first, err := s.Numbers(context.Background(), sequence, program, n)
					require.NoError(t, err)
					require.Equal(t, want, first, "%s of %q", sequence, program)
				}
			}
			want += n
		}
		require.NoError(t, s.Wipe(context.Background()))
		first, err := s.Numbers(context.Background(), "one", "a", 1)
		require.NoError(t, err)
		require.EqualValues(t, 1, first)
	}},
	{"no number is reserved twice, and for each caller they grow", func(t *testing.T, s Store) {
		const callers, turns = 20, 5
		taken := make(chan int64, callers*turns*callers)
		for _, err := range together(callers, func(i int) error {
			n, last := int64(i%7+1), int64(0)
			for range turns {
				first, err := s.Numbers(context.Background(), "sequence", "program", n)
				if err != nil {
					return err
				}
				if first <= last {
					return fmt.Errorf("%d after %d", first, last)
				}
				for last = first; last < first+n; last++ {
					taken <- last
				}
				last--
			}
			return nil
		}) {
			require.NoError(t, err)
		}
		close(taken)
		var all []int64
		for n := range taken {
			all = append(all, n)
		}
		slices.Sort(all)
		require.Equal(t, all, slices.Compact(slices.Clone(all)))
		require.EqualValues(t, len(all), all[len(all)-1], "nothing is left out")
	}},
}
