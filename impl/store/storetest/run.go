package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// Store is what is tested: pin.Store, and what else a server needs of its database.
type Store interface {
	pin.Store

	Setting(ctx context.Context, key string) (string, error)
	PutSetting(ctx context.Context, key, value string) error
	Empty(ctx context.Context) (bool, error)
	Wipe(ctx context.Context) error
	PurgeReplays(ctx context.Context, before time.Time) (int64, error)
	PurgeSessions(ctx context.Context, before time.Time) (int64, error)
	PurgeApprovals(ctx context.Context, before time.Time) (int64, error)

	QueueDeliveries(ctx context.Context, all []pin.Delivery) error
	ClaimDeliveries(ctx context.Context, webhookID string, now time.Time, lease time.Duration, limit int) ([]pin.Delivery, error)
	SettleDelivery(ctx context.Context, d pin.Delivery) error
	Deliveries(ctx context.Context, webhookID string, state pin.DeliveryState, before string, limit int) ([]pin.Delivery, error)
	DueWebhooks(ctx context.Context, now time.Time) ([]string, error)
	DeliveredSince(ctx context.Context, webhookID string, since time.Time) (bool, error)
	WaitingDeliveries(ctx context.Context) ([]pin.Waiting, error)
	PurgeDeliveries(ctx context.Context, done, made time.Time) (int64, error)
	DropDeliveries(ctx context.Context, webhookID string) error
	Expired(ctx context.Context, t pin.Table, after, until time.Time, limit int) ([]pin.Row, error)
	LiveSessions(ctx context.Context, now time.Time) (map[pin.SessionState]int64, error)
	Mark(ctx context.Context, what string, at time.Time) error
	Marked(ctx context.Context, what string) (time.Time, error)
	Lease(ctx context.Context, id string, limit, block int64, window time.Duration, at time.Time) (granted int64, remains time.Duration, err error)
	CountVerifications(ctx context.Context, n pin.MismatchCount, clientID string, cardIDs []string, window time.Duration, at time.Time) (pin.MismatchCount, error)
	PurgeVerifications(ctx context.Context, before time.Time) (int64, error)
	Close() error
}

// group are tests of one matter.
type group struct {
	name  string
	tests []test
}

// Run tests a store. open is called for each test and returns a store on an empty, migrated database.
func Run(t *testing.T, open func(t *testing.T) Store) {
	run(t, open, []group{
		{"find", findTests}, {"cards", cardTests}, {"rows", rowTests}, {"replays", replayTests}, {"look-ups", lookupTests},
		{"events", eventTests}, {"settled", settledTests}, {"whole or not at all", wholeTests}, {"at once", atOnceTests}, {"locked", lockedTests},
		{"lists", listTests}, {"deliveries", deliveryTests}, {"limits", limitTests}, {"numbers", numberTests}, {"failures", failureTests}, {"upkeep", upkeepTests},
	})
}

// RunMany tests what a store does with many cards at once, which on one machine is one transaction.
func RunMany(t *testing.T, open func(t *testing.T) Store) {
	run(t, open, []group{{"many at once", manyTests}})
}

func run(t *testing.T, open func(t *testing.T) Store, groups []group) {
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
			}
		})
	}
}

// test is a promise and how it is put to the test.
type test struct {
	name string
	run  func(t *testing.T, s Store)
}

// Times is how often a test repeats what chance has a part in: long where PINVAULT_TEST_LONG is 1.
func Times(short, long int) int {
	if os.Getenv("PINVAULT_TEST_LONG") == "1" {
		return long
	}
	return short
}

// now is the time at which the tests' changes are made, in microseconds since 1970, and anHour later.
const (
	now    = int64(1_772_357_400_123_456)
	anHour = int64(time.Hour / time.Microsecond)
)

var errDomain = errors.New("a reason of the caller's own")

// requireCode compares an error's code, and its field where one is given.
func requireCode(t require.TestingT, err error, code pin.Code, field ...string) {
	require.Error(t, err)
	require.Equal(t, code, pin.CodeOf(err), "%v", err)
	for _, f := range field {
		require.Equal(t, f, pin.FieldOf(err), "%v", err)
	}
}

// together runs f n times at once and returns the errors.
func together(n int, f func(i int) error) []error {
	var group sync.WaitGroup
	errs := make([]error, n)
	start := make(chan struct{})
	for i := range n {
		group.Go(func() { <-start; errs[i] = f(i) })
	}
	close(start)
	group.Wait()
	return errs
}

// requireOne fails unless one of the errors is none and all others have the code and field.
func requireOne(t require.TestingT, errs []error, code pin.Code, field string) {
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		requireCode(t, err, code, field)
	}
	require.Equal(t, 1, won, "how many succeeded")
}

// swap makes a change that must succeed.
func swap(t require.TestingT, s Store, c pin.Change) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	require.NoError(t, try(s, c))
}

// try makes a change.
func try(s Store, c pin.Change) error { return s.Swap(context.Background(), c) }

// seal is some seal, one for each set of parts, with all the bytes that a seal may have.
func seal(parts ...any) []byte { return append([]byte{0, 1, 255}, fmt.Sprint(parts...)...) }

// body is JSON with characters that a statement or another JSON text around it could trip over.
func body(parts ...any) []byte {
	return fmt.Appendf(nil, `{"of":%q,"text":"größer 🙂 '' \" \\ \u0000 </script> $1 ? :x %%s","list":[1,2.50,null]}`, fmt.Sprint(parts...))
}

// newRow is the first version of a row of a table.
func newRow(t pin.Table, id string) pin.Row {
	r := pin.Row{Table: t, ID: id, Version: 1, Body: body(t, id, 1), Seal: seal(t, id, 1)}
	switch t {
	case pin.TableClients, pin.TableZoneKeys, pin.TableWebhooks:
		r.ProgramID = "program"
	case pin.TableSessions, pin.TableApprovals:
		r.ProgramID, r.CardID, r.ExpiresAt = "program", "card", now+anHour
	case pin.TableRecords:
		r.ProgramID, r.CardID = "program", "card"
	case pin.TableReplays:
		r.ExpiresAt = now + anHour
	}
	return r
}

// following is the version of a row that follows another.
func following(r pin.Row) pin.Row {
	r.Version++
	r.Body, r.Seal = body(r.Table, r.ID, r.Version), seal(r.Table, r.ID, r.Version)
	return r
}

// newCard is the first revision of a card of the program "program".
func newCard(id string) pin.CardRow {
	return pin.CardRow{ID: id, ProgramID: "program", Revision: 1, Details: body("details", id, 1), Value: body("value", id, 1), Seal: seal(id, 1)}
}

// next is the revision of a card that follows another, with other details too.
func next(c pin.CardRow) *pin.CardRow {
	c.Revision++
	c.ProgramVersion = 0 // read only
	c.Details, c.Value, c.Seal = body("details", c.ID, c.Revision), body("value", c.ID, c.Revision), seal(c.ID, c.Revision)
	return &c
}

// events are those at n places of a chain.
func events(chain string, first int64, n int) []pin.EventRow {
	out := make([]pin.EventRow, n)
	for i := range out {
		seq := first + int64(i)
		out[i] = pin.EventRow{Chain: chain, Seq: seq, ID: fmt.Sprintf("%s event %03d", chain, seq), ProgramID: "program", Body: body(chain, seq), MAC: seal(chain, seq)}
	}
	return out
}

// unique is a look-up of a value that one card of a program has, shared one that several may have.
func unique(kind pin.Kind, value, cardID string) pin.Lookup {
	return pin.Lookup{Kind: kind, Value: value, ProgramID: "program", CardID: cardID}
}

func shared(value, cardID string) pin.Lookup {
	return pin.Lookup{Kind: pin.KindAlias, Value: value, ProgramID: "program", Slot: cardID, CardID: cardID}
}

// making is the change that makes a card: with its first event, and found by "urn <id>", "token <id>" and the
// alias "alias", which all cards share.
func making(c pin.CardRow) pin.Change {
	add := []pin.Lookup{unique(pin.KindURN, "urn "+c.ID, c.ID), unique(pin.KindPublicToken, "token "+c.ID, c.ID), shared("alias", c.ID)}
	all := events(c.ID, 1, 1)
	for i := range add {
		add[i].ProgramID = c.ProgramID
	}
	all[0].ProgramID = c.ProgramID
	return pin.Change{Card: &c, DetailsToo: true, Events: all, Add: add, Now: now}
}

// withCards makes the program "program" and cards in it.
func withCards(t require.TestingT, s Store, ids ...string) {
	swap(t, s, pin.Change{Rows: []pin.Row{newRow(pin.TablePrograms, "program")}})
	for _, id := range ids {
		swap(t, s, making(newCard(id)))
	}
}

// stored is a card as it stands.
func stored(t require.TestingT, s Store, id string) pin.CardRow {
	found, err := s.Find(context.Background(), pin.Search{CardID: id, Limit: 2})
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

// row is a row as it stands.
func row(t require.TestingT, s Store, table pin.Table, id string) pin.Row {
	r, err := s.Row(context.Background(), table, "", id)
	require.NoError(t, err)
	return r
}

// tables are those that hold a [pin.Row].
var tables = []pin.Table{pin.TablePrograms, pin.TableClients, pin.TableZoneKeys, pin.TableWebhooks, pin.TableChains, pin.TableReplays, pin.TableSessions, pin.TableApprovals, pin.TableRecords}

// contents is all that a store holds, as far as it can be asked.
type contents struct {
	Cards   []pin.CardRow
	Lookups []pin.Lookup
	Events  []pin.EventRow
	Rows    []pin.Row
}

func everything(t require.TestingT, s Store) (all contents) {
	ctx, page := context.Background(), pin.Page{Limit: 100_000}
	var errs [4]error
	all.Cards, errs[0] = s.Cards(ctx, "", page)
	all.Lookups, errs[1] = s.Lookups(ctx, pin.Lookup{}, page.Limit)
	all.Events, errs[2] = s.ChainEvents(ctx, "", 0, page.Limit)
	for _, table := range tables {
		rows, err := s.List(ctx, table, "", page)
		all.Rows, errs[3] = append(all.Rows, rows...), errors.Join(errs[3], err)
	}
	require.NoError(t, errors.Join(errs[:]...))
	return all
}

// paged reads all pages of a list of ids, none of which may hold more than limit.
func paged(t *testing.T, limit int, list func(p pin.Page) ([]string, error)) []string {
	all := []string{}
	for p := (pin.Page{Limit: limit}); ; p.After = all[len(all)-1] {
		page, err := list(p)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		if all = append(all, page...); len(page) < limit {
			return all
		}
	}
}

func each[T, R any](list []T, f func(T) R) []R {
	out := make([]R, 0, len(list))
	for _, x := range list {
		out = append(out, f(x))
	}
	return out
}

func cardIDs(list []pin.CardRow) []string {
	return each(list, func(c pin.CardRow) string { return c.ID })
}
func rowIDs(list []pin.Row) []string { return each(list, func(r pin.Row) string { return r.ID }) }
func eventIDs(list []pin.EventRow) []string {
	return each(list, func(e pin.EventRow) string { return e.ID })
}

// bytewise are ids in the order that Go gives them, which a database's own collation may not.
var bytewise = []string{"A", "B", "Z-1", "_", "a", "a-1", "a1", "b", "é"}

// shuffled are the same in another order.
var shuffled = func() []string {
	out := slices.Clone(bytewise)
	slices.Reverse(out)
	out[0], out[4] = out[4], out[0]
	return out
}()

// odd are texts that a statement, or JSON around them, could trip over.
var odd = []string{`'`, `"`, `\`, `''; DROP TABLE cards; --`, `$1`, `?`, `{"a":[1]}`, `{a,b}`, `NULL`, " ", "\n\t\r", "%_*", `\u0000`, `\x00`, "é ☃ 𝄞", "\u2028", "<&>", "e\u0301", "\U0010FFFF"}
