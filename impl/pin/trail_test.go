package pin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
)

func TestAVaultBeginsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.Equal(t, []string{"vault.initialized", "key.imported"}, w.told(t, "server"))
	require.NoError(t, w.Initialize(by(t)))
	require.NoError(t, w.sibling().Initialize(by(t)))
	require.Len(t, w.events(t, "server"), 2)

	ks, err := keyring.Generate(&source{}, w.clock())
	require.NoError(t, err)
	stranger := newVault(w.store, keyring.Open(ks, w.store, w.clock), w.clock, nil)
	err = stranger.Initialize(by(t))
	require.Equal(t, pin.Internal, pin.CodeOf(err))
	require.True(t, pin.Tampered(err))
	require.ErrorContains(t, err, "another keyset")
	_, err = stranger.Card(by(t), w.q)
	require.True(t, pin.Tampered(err))
}

// A row of a chain, of a program, of a client or of a session that says something else than its columns is no
// row of ours, whatever its seal.
func TestRowsThatContradictThemselvesAreAnAlarm(t *testing.T) {
	t.Parallel()
	for table, ask := range map[pin.Table]func(w *prepared, v *pin.Vault) error{
		pin.TableChains: func(_ *prepared, v *pin.Vault) error { return v.Initialize(anybody()) },
		pin.TablePrograms: func(w *prepared, v *pin.Vault) error {
			_, err := v.Program(anybody(), w.program.ID)
			return err
		},
		pin.TableClients: func(_ *prepared, v *pin.Vault) error { _, err := v.Client(anybody(), "client"); return err },
		pin.TableSessions: func(_ *prepared, v *pin.Vault) error {
			_, err := v.Session(anybody(), "session")
			return err
		},
		pin.TableZoneKeys: func(w *prepared, _ *pin.Vault) error {
			_, err := pin.NewZoneKeys(w.store, w.ring).ZoneKey(anybody(), "zpk")
			return err
		},
		pin.TableRecords: func(w *prepared, v *pin.Vault) error {
			_, err := v.ContractRecord(anybody(), "fax", w.record)
			return err
		},
		pin.TableReplays: func(_ *prepared, v *pin.Vault) error {
			_, err := v.Replay(anybody(), "client", "old")
			return err
		},
	} {
		for name, change := range map[string]func(r *pin.Row){
			"as it is":          func(*pin.Row) {},
			"with another body": func(r *pin.Row) { r.Body = append([]byte(" "), r.Body...) },
			"with another seal": func(r *pin.Row) { r.Seal = append([]byte{1}, r.Seal...) },
			"with none":         func(r *pin.Row) { r.Seal = nil },
		} {
			w := prepare(t)
			db := w.store.(*memory)
			for key, r := range db.rows {
				if key[0] == string(table) {
					change(&r)
					db.rows[key] = r
				}
			}
			alarms := 0
			v := w.sibling()
			v.OnTampered(func(_ context.Context, where, _ string) {
				alarms++
				require.Equal(t, string(table), where)
			})
			err := ask(w, v)
			if name == "as it is" {
				require.NoError(t, err, table)
				continue
			}
			require.True(t, pin.Tampered(err), "%s %s", table, name)
			require.Equal(t, pin.Internal, pin.CodeOf(err))
			require.Equal(t, table != pin.TableZoneKeys, alarms == 1, "%s %s", table, name)
		}
	}
}

// reseal gives a row that was changed a seal as the vault itself would make it.
func (w *world) reseal(t *testing.T, r pin.Row) pin.Row {
	t.Helper()
	var err error
	r.Seal, err = w.ring.MAC(pin.UseSeal, pin.Frame(string(r.Table), r.ID, r.ProgramID, r.CardID, fmt.Sprint(r.Version), fmt.Sprint(r.ExpiresAt), string(r.Body)))
	require.NoError(t, err)
	return r
}

// What is found is what was asked for, and says of itself what its columns say: a good seal alone does not make
// one row pass for another.
func TestAGoodSealDoesNotMakeARowAnother(t *testing.T) {
	t.Parallel()
	asked := map[pin.Table]func(w *prepared, v *pin.Vault) error{
		pin.TableChains: func(_ *prepared, v *pin.Vault) error { return v.Initialize(anybody()) },
		pin.TablePrograms: func(w *prepared, v *pin.Vault) error {
			_, err := v.Program(anybody(), w.program.ID)
			return err
		},
		pin.TableClients: func(_ *prepared, v *pin.Vault) error { _, err := v.Client(anybody(), "client"); return err },
		pin.TableSessions: func(_ *prepared, v *pin.Vault) error {
			if _, err := v.Session(anybody(), "session"); !pin.Tampered(err) {
				return err
			}
			_, err := v.Entry(anybody(), "session")
			return err
		},
	}
	for _, test := range []struct {
		table  pin.Table
		name   string
		change func(r *pin.Row)
	}{
		{pin.TableChains, "version", func(r *pin.Row) { r.Version++ }},
		{pin.TablePrograms, "version", func(r *pin.Row) { r.Version++ }},
		{pin.TablePrograms, "id", func(r *pin.Row) { r.Body = []byte(strings.Replace(string(r.Body), r.ID, "x"+r.ID[1:], 1)) }},
		{pin.TablePrograms, "body", func(r *pin.Row) { r.Body = []byte("4826") }},
		{pin.TableClients, "version", func(r *pin.Row) { r.Version++ }},
		{pin.TableClients, "program", func(r *pin.Row) { r.ProgramID = "" }},
		{pin.TableClients, "id", func(r *pin.Row) { r.Body = []byte(strings.Replace(string(r.Body), "client", "klient", 1)) }},
		{pin.TableSessions, "version", func(r *pin.Row) { r.Version++ }},
		{pin.TableSessions, "program", func(r *pin.Row) { r.ProgramID = "" }},
		{pin.TableSessions, "card", func(r *pin.Row) { r.CardID = "x" }},
		{pin.TableSessions, "expiry", func(r *pin.Row) { r.ExpiresAt++ }},
		{pin.TableSessions, "id", func(r *pin.Row) { r.Body = []byte(strings.Replace(string(r.Body), `"session"`, `"zession"`, 1)) }},
	} {
		w := prepare(t)
		db := w.store.(*memory)
		for key, r := range db.rows {
			if key[0] == string(test.table) {
				test.change(&r)
				db.rows[key] = w.reseal(t, r)
			}
		}
		require.True(t, pin.Tampered(asked[test.table](w, w.sibling())), "%s: %s", test.table, test.name)
		var err error
		switch test.table {
		case pin.TablePrograms:
			_, err = w.sibling().Programs(by(t), pin.Page{Limit: 10})
		case pin.TableClients:
			_, err = w.sibling().Clients(by(t), pin.Page{Limit: 10})
		default:
			continue
		}
		require.True(t, pin.Tampered(err), "%s listed: %s", test.table, test.name)
	}
}

func TestACardThatIsNotWhatItsRowSaysIsAnAlarm(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *pin.CardRow){
		"as it is":   func(*pin.CardRow) {},
		"another id": func(r *pin.CardRow) { r.Details = []byte(strings.Replace(string(r.Details), r.ID, "x"+r.ID[1:], 1)) },
		"another program": func(r *pin.CardRow) {
			r.Details = []byte(strings.Replace(string(r.Details), r.ProgramID, "x"+r.ProgramID[1:], 1))
		},
		"details no JSON":  func(r *pin.CardRow) { r.Details = []byte("x") },
		"value no JSON":    func(r *pin.CardRow) { r.Value = []byte("x") },
		"another seal":     func(r *pin.CardRow) { r.Seal = nil },
		"another revision": func(r *pin.CardRow) { r.Revision++; r.Seal = nil },
	} {
		w := newMemoryWorld(t)
		db := w.store.(*memory)
		r := db.cards[w.card.ID]
		change(&r)
		if r.Seal != nil {
			var err error
			r.Seal, err = w.ring.MAC(pin.UseSeal, pin.Frame(r.ID, r.ProgramID, fmt.Sprint(r.Revision), string(r.Details), string(r.Value)))
			require.NoError(t, err)
		}
		db.cards[w.card.ID] = r
		_, err := w.Card(by(t), w.q)
		require.Equal(t, name != "as it is", pin.Tampered(err), name)
		_, err = w.ForgetPINs(by(t), w.program)
		require.Equal(t, name != "as it is", pin.Tampered(err), name)
	}
	w := newMemoryWorld(t)
	delete(w.store.(*memory).rows, [3]string{string(pin.TablePrograms), "", w.program.ID})
	_, err := w.sibling().Card(by(t), w.q)
	require.True(t, pin.Tampered(err), "a card without its program")
}

// An entry that another process was faster with goes after that one's.
func TestEntriesOfTwoProcessesStandOneAfterTheOther(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	times := 0
	w.tap.before = func(call string) error {
		if call == "Swap" && times < 99 {
			times++
			return conflict("chains")
		}
		return nil
	}
	_, _, err := w.CreateClient(by(t), pin.Client{ProgramID: w.program.ID, Contract: "thredd"}, "", pin.Memo{})
	require.NoError(t, err, "at the hundredth time")
	require.Equal(t, []string{"program.created", "client.created"}, w.told(t, w.program.ID))
	times = -1
	_, _, err = w.CreateClient(by(t), pin.Client{ProgramID: w.program.ID, Contract: "thredd"}, "", pin.Memo{})
	require.Equal(t, pin.Conflict, pin.CodeOf(err))
	require.Equal(t, "chains", pin.FieldOf(err))
	require.Equal(t, 99, times)
	require.Len(t, w.events(t, w.program.ID), 2)
}

// What else stands in an entry's way stands there the next time too.
func TestAnEntryIsMadeAnewOnlyAfterItsChainHasGoneOn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		failure error
		want    pin.Code
	}{
		{conflict("chains"), ""},
		{conflict("clients"), pin.Conflict},
		{duplicate("chains"), pin.Duplicate},
		{duplicate("clients"), pin.Duplicate},
	} {
		w := newMemoryWorld(t)
		w.tap.before = once("Swap", test.failure)
		_, _, err := w.CreateClient(by(t), pin.Client{ProgramID: w.program.ID, Contract: "thredd"}, "", pin.Memo{})
		require.Equal(t, test.want, pin.CodeOf(err), "%v", test.failure)
	}
}

func TestManyEntriesOfOneChainAtOnceAreAllMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.sibling()
	var all sync.WaitGroup
	errs := make([]error, 40)
	for i := range errs {
		v := w.Vault
		if i%2 == 1 {
			v = other
		}
		all.Go(func() {
			_, _, errs[i] = v.CreateClient(anybody(), pin.Client{ProgramID: w.program.ID, Contract: "thredd"}, "", pin.Memo{})
		})
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	for i, e := range w.events(t, w.program.ID) {
		require.Equal(t, int64(i+1), e.Seq)
	}
	require.Len(t, w.events(t, w.program.ID), 41)
}

func TestEventsOfACallersReach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, err := w.CreateProgram(by(t), pin.NewProgram("other"), pin.Memo{})
	require.NoError(t, err)
	list := func(who pin.Caller, q pin.AuditQuery) (out []string) {
		q.Limit = 100
		events, err := w.AuditEvents(pin.WithCaller(by(t), who), q)
		require.NoError(t, err)
		for _, e := range events {
			out = append(out, string(e.Type))
		}
		return out
	}
	require.ElementsMatch(t, []string{"vault.initialized", "program.created", "key.imported", "card.created", "program.created"}, list(operator, pin.AuditQuery{}))
	require.Empty(t, list(pin.Caller{}, pin.AuditQuery{}), "nobody")
	require.Equal(t, []string{"program.created", "card.created"}, list(operator, pin.AuditQuery{ProgramID: w.program.ID}))
	require.Equal(t, []string{"program.created"}, list(pin.Caller{ProgramID: other.ID}, pin.AuditQuery{}))
	require.Equal(t, []string{"program.created"}, list(pin.Caller{ProgramID: other.ID}, pin.AuditQuery{ProgramID: w.program.ID}), "a bound caller sees its own")
	require.Empty(t, list(pin.Caller{ProgramID: other.ID}, pin.AuditQuery{Chain: w.card.ID}))
	require.Equal(t, []string{"card.created"}, list(operator, pin.AuditQuery{Chain: w.card.ID}))
}

func TestAnEventThatIsNoJSONIsAnAlarm(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	db := w.store.(*memory)
	db.events[w.card.ID][0].Body = []byte("4826")
	_, err := w.AuditEvents(by(t), pin.AuditQuery{Chain: w.card.ID, Page: pin.Page{Limit: 1}})
	require.True(t, pin.Tampered(err))
	require.NotContains(t, err.Error(), "4826")
}

// A memo's record and session are written with the change of a success, and not with a refusal.
func TestWhatAMemoAsksForIsWrittenWithASuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *pin.Program) { p.Policy = pin.PolicyHistory })
	session, err := w.OpenSession(by(t), w.q, pin.NewSession{ID: "session", Action: pin.ActionReset, Lifetime: time.Hour}, pin.Memo{})
	require.NoError(t, err)
	var heard []any
	memo := w.keeping("key")
	memo.Session = func(result any) *pin.Session {
		heard = append(heard, result)
		moved := session
		moved.Version, moved.State = 2, pin.SessionUsed
		return &moved
	}
	require.Equal(t, pin.RecentPIN, pin.CodeOf(w.SetPIN(by(t), w.q, plain(t, right), memo)))
	_, err = w.Replay(by(t), "client", "key")
	require.Equal(t, pin.NotFound, pin.CodeOf(err), "a refusal that is remembered would be repeated as a success")
	kept, err := w.Session(by(t), "session")
	require.NoError(t, err)
	require.Equal(t, session, kept)
	require.Empty(t, heard)

	v, err := w.Verify(by(t), w.q, plain(t, wrong), memo)
	require.NoError(t, err)
	require.Equal(t, []any{v}, heard)
	_, err = w.Replay(by(t), "client", "key")
	require.NoError(t, err)
	kept, err = w.Session(by(t), "session")
	require.NoError(t, err)
	require.Equal(t, pin.SessionUsed, kept.State)

	_, err = w.Verify(by(t), w.q, plain(t, wrong), w.keeping("key"))
	require.Equal(t, pin.Duplicate, pin.CodeOf(err))
	require.Equal(t, "replays", pin.FieldOf(err))
	require.Equal(t, 2, w.remaining(t), "what is a repetition takes no try")
	memo.Keep = nil
	_, err = w.Verify(by(t), w.q, plain(t, wrong), memo)
	require.Equal(t, pin.Conflict, pin.CodeOf(err))
	require.Equal(t, "pin_sessions", pin.FieldOf(err))
	require.Equal(t, 2, w.remaining(t), "nor what another has moved")
	memo.Session = func(any) *pin.Session { return nil }
	_, err = w.Verify(by(t), w.q, plain(t, wrong), memo)
	require.NoError(t, err)
	require.Equal(t, 1, w.remaining(t))
	w.agree(t)
}

func TestNumbersGrowInBlocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := pin.WithCaller(by(t), pin.Caller{ProgramID: "a"}), pin.WithCaller(by(t), pin.Caller{ProgramID: "b"})
	number := func(v *pin.Vault, who context.Context, sequence string) int64 {
		n, err := v.Number(who, sequence)
		require.NoError(t, err)
		return n
	}
	w.tap.count = true
	for i := range int64(100) {
		require.Equal(t, i+1, number(w.Vault, a, "s"))
	}
	require.Equal(t, []string{"Numbers"}, w.tap.calls, "a hundred at a time")
	require.Equal(t, int64(1), number(w.Vault, b, "s"), "another program's")
	require.Equal(t, int64(1), number(w.Vault, a, "t"), "another sequence's")
	other := w.sibling()
	require.Equal(t, int64(101), number(other, a, "s"), "another process has a block of its own")
	require.Equal(t, int64(201), number(w.Vault, a, "s"))
	require.Equal(t, int64(102), number(other, a, "s"))
	require.Equal(t, int64(202), number(w.Vault, a, "s"))
	w.Forget()
	require.Equal(t, int64(401), number(w.Vault, a, "s"), "the second block was twice as large, and what is left of a block is forgotten with it")

	w.tap.before = always("Row programs", errDown)
	_, err := w.Program(by(t), w.program.ID)
	require.Equal(t, pin.Unavailable, pin.CodeOf(err), "and programs are")
	_, err = w.Card(by(t), w.q)
	require.Equal(t, pin.Unavailable, pin.CodeOf(err))
}

// A number that is promised is there when it is drawn, and a block is not reserved before it is needed.
func TestAPromisedNumberIsReserved(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	w.tap.count = true
	for range 99 {
		_, err := w.Number(by(t), "s")
		require.NoError(t, err)
	}
	var draws []func() int64
	promise := func() {
		draw, release, err := w.Promise(by(t), "s")
		require.NoError(t, err)
		t.Cleanup(release)
		draws = append(draws, draw)
	}
	promise()
	require.Len(t, w.tap.calls, 1, "the hundredth")
	promise()
	require.Len(t, w.tap.calls, 2)
	for len(draws) < 201 {
		promise()
	}
	require.Len(t, w.tap.calls, 2, "what is left of both blocks")
	promise()
	require.Len(t, w.tap.calls, 3)
	for i, draw := range draws {
		require.Equal(t, int64(100+i), draw())
	}
}

// A try that no event tells of leaves its contract's record all the same.
func TestARecordNeedsNoEvent(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	w.block(t)
	w.try(t, wrong)
	events := len(w.events(t, w.card.ID))
	_, err := w.Verify(by(t), w.q, plain(t, wrong), pin.Memo{Record: func(pin.Record) (pin.ContractRecord, error) {
		return pin.ContractRecord{ID: "r", Body: json.RawMessage(`{}`)}, nil
	}})
	require.NoError(t, err)
	require.Len(t, w.events(t, w.card.ID), events)
	_, err = w.ContractRecord(by(t), operator.Contract, "r")
	require.NoError(t, err)
}

func TestContractsKeepRecordsWithTheChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.block(t)
	ctx := pin.WithCaller(by(t), pin.Caller{ClientID: "helpdesk", ProgramID: w.program.ID, Contract: "fax"})
	id, err := recorded(ctx, w.Vault, w.q, `{"said":"1"}`)
	require.NoError(t, err)
	require.Equal(t, "SR0000000001", id)
	require.Equal(t, 3, w.remaining(t))
	last := w.events(t, w.card.ID)[5]
	require.Equal(t, pin.EventPINUnblocked, last.Type)
	require.Equal(t, id, last.Subject)
	require.True(t, last.Recorded)
	read, err := w.ContractRecord(ctx, "fax", id)
	require.NoError(t, err)
	require.Equal(t, pin.ContractRecord{Contract: "fax", ID: id, ProgramID: w.program.ID, CardID: w.card.ID, Body: json.RawMessage(`{"said":"1"}`)}, read)
	_, err = w.ContractRecord(ctx, "telex", id)
	require.Equal(t, pin.NotFound, pin.CodeOf(err), "another contract's")

	events := len(w.events(t, w.card.ID))
	keep := func(id string, err error) pin.Memo {
		return pin.Memo{Record: func(pin.Record) (pin.ContractRecord, error) {
			return pin.ContractRecord{ID: id, Body: json.RawMessage(`{}`)}, err
		}}
	}
	for name, test := range map[string]struct {
		of   error
		want pin.Code
	}{
		"what is there already":       {w.Unblock(ctx, w.q, keep(id, nil)), pin.Duplicate},
		"what could not be written":   {w.Unblock(ctx, w.q, keep("other", &pin.Error{Code: pin.Unavailable})), pin.Unavailable},
		"of a card that is not there": {w.Unblock(ctx, pin.Query{CardID: "nobody"}, keep("other", nil)), pin.NotFound},
	} {
		require.Equal(t, test.want, pin.CodeOf(test.of), name)
	}
	require.Len(t, w.events(t, w.card.ID), events, "a failure leaves nothing")
	unreadable := pin.Encrypted("zpk", pinblock.ISO0, make([]byte, 8))
	require.Equal(t, pin.Unopenable, pin.CodeOf(w.SetPIN(ctx, w.q, unreadable, keep("other", nil))))
	require.Len(t, w.events(t, w.card.ID), events+1, "a refusal that is told leaves its event")
	_, err = w.ContractRecord(ctx, "fax", "other")
	require.Equal(t, pin.NotFound, pin.CodeOf(err))

	next, err := recorded(ctx, w.Vault, w.q, `{}`)
	require.NoError(t, err)
	require.Equal(t, "SR0000000002", next)
	_, err = w.ContractRecord(pin.WithCaller(by(t), pin.Caller{ProgramID: "other"}), "fax", id)
	require.Equal(t, pin.NotFound, pin.CodeOf(err))

	other, err := w.CreateProgram(by(t), pin.NewProgram("other"), pin.Memo{})
	require.NoError(t, err)
	there := pin.WithCaller(by(t), pin.Caller{ProgramID: other.ID})
	_, err = w.CreateCard(there, pin.NewCard{ID: "there"}, pin.Memo{})
	require.NoError(t, err)
	same, err := recorded(there, w.Vault, pin.Query{CardID: "there"}, `{}`)
	require.NoError(t, err)
	require.Equal(t, id, same, "each program counts for itself")
	_, err = w.ContractRecord(by(t), "fax", id)
	require.Equal(t, pin.Ambiguous, pin.CodeOf(err))
}

func TestNumbersThatCouldBePANsAreMasked(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	for text, want := range map[string]string{
		"": "", "no digits": "no digits", "12345678901": "12345678901", "123456789012": "************", "x123456789012y": "x************y",
		"1234 5678 9012": "**************", "1234-5678-9012": "**************", "1234--5678--9012": "****************", "1234 - 5678 - 9012": "******************", "1234----5678----9012": "1234----5678----9012",
		"1234\u200b5678\u200b9012": "**************", "1234+5678+9012": "**************",
		"١٢٣٤٥٦٧٨٩٠١٢": "************", "(1234) 5678 9012.": "(***************.", "call 1234567 about 9999990000000014!": "call 1234567 about ****************!",
		"1a2345678901234": "1a*************", "1a23456789012": "1a23456789012", "9999990000000014 9999990000000022": "*********************************",
	} {
		require.NoError(t, w.Unblock(by(t), w.q, pin.Memo{Description: text}))
		events := w.events(t, w.card.ID)
		require.Equal(t, want, events[len(events)-1].Description, "%q", text)
	}
}

func TestFramesTellTheirPartsApart(t *testing.T) {
	t.Parallel()
	require.Equal(t, []byte("\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x02bc"), pin.Frame("a", "", "bc"))
	require.Empty(t, pin.Frame())
	large := pin.Frame(strings.Repeat("x", 0x01020304))
	require.Equal(t, []byte{1, 2, 3, 4, 'x'}, large[:5])
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune{0, 1, 'a'}), 0, 4, -1), 0, 4)
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		require.Equal(t, fmt.Sprintf("%q", a) == fmt.Sprintf("%q", b), string(pin.Frame(a...)) == string(pin.Frame(b...)))
	})
}
