package pin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Fault is a way in which what the database holds is not what the vault has written, in plain words.
type Fault string

// The faults, in the order in which they are reported.
const (
	FaultEventChanged  Fault = "an event was changed, or another one stands in its place"
	FaultEventMissing  Fault = "events are missing within a chain"
	FaultTailMissing   Fault = "the newest events of a chain are missing"
	FaultHeadBehind    Fault = "a card or chain is older than its own events"
	FaultHeadOther     Fault = "the newest event of a chain is not the one that its card or chain names"
	FaultHeadless      Fault = "there are events of a card or chain that is not there"
	FaultServer        Fault = "the server's own chain is missing"
	FaultSeal          Fault = "a row was changed: its seal is broken"
	FaultRowOld        Fault = "a row is older than the newest event about it"
	FaultRowMissing    Fault = "a row is missing that events tell of"
	FaultRowUntold     Fault = "no event tells of a row as it is"
	FaultLookupMissing Fault = "what should find a card or row is missing, or leads elsewhere"
	FaultLookupForged  Fault = "a look-up leads to a card or row that is not there or is not found by it"
	FaultRolledBack    Fault = "a chain has not what the checkpoint says: it was rolled back, or replaced"
)

var faults = []Fault{FaultEventChanged, FaultEventMissing, FaultTailMissing, FaultHeadBehind, FaultHeadOther, FaultHeadless, FaultServer,
	FaultSeal, FaultRowOld, FaultRowMissing, FaultRowUntold, FaultLookupMissing, FaultLookupForged, FaultRolledBack}

// Break is one place where a [Fault] was found.
type Break struct {
	Fault Fault
	Table string // in which it shows
	ID    string // of the chain, where Table is that of the events, and otherwise of the row
	Seq   int64  // the place in the chain, 0 where none is meant
	Kind  Kind   // of look-up, "" where none is meant; ID is then what it should lead to, or does
}

// String is the break in plain words. Ids are quoted: whoever changes rows may have written anything
// there. The value of a look-up is somebody's data and is not told.
func (b Break) String() string {
	where := fmt.Sprintf("%s, id %q", b.Table, b.ID)
	switch {
	case b.Kind != "":
		where = fmt.Sprintf("%s of kind %q, id %q", b.Table, b.Kind, b.ID)
	case b.Table == tableEvents && b.Seq > 0:
		where = fmt.Sprintf("chain %q, place %d", b.ID, b.Seq)
	case b.Table == tableEvents:
		where = fmt.Sprintf("chain %q", b.ID)
	case b.Seq > 0:
		where = fmt.Sprintf("%s, id %q, place %d", b.Table, b.ID, b.Seq)
	}
	return string(b.Fault) + ": " + where
}

// Finding is what was found of one fault.
type Finding struct {
	Fault  Fault
	Count  int64
	Breaks []Break // the first one; of [FaultRolledBack] the first namedChains
}

// namedChains is how many of the chains that a checkpoint convicts are named.
const namedChains = 20

// Summary is what was looked at and what was found.
type Summary struct {
	Events, Chains, Cards, Rows, Lookups int64 // Chains are those of cards, too; Rows all others that have a seal
	Heads                                int64 // of the checkpoint
	// Unsettled counts cards that were changed over and over while their look-ups were compared, so that
	// nothing can be said of these.
	Unsettled int64
	Findings  []Finding // in the order of the faults
}

// Whole tells whether nothing was found.
func (s Summary) Whole() bool { return len(s.Findings) == 0 }

// VerifyOptions say what else VerifyTrail does; the zero value is good.
type VerifyOptions struct {
	// Expected are heads of an earlier time in the order of their chains' ids, see [Vault.Heads]: their
	// events must be there still.
	Expected iter.Seq2[ChainHead, error]
	// Progress, if any, hears now and then how many of what have been looked at.
	Progress func(what string, n int64)
}

// VerifyTrail holds everything that the database says against the seals, the chains of events and each
// other. It reads all of it once, in the order of its keys, and holds a page of each table in memory, and
// of programs, clients and zone keys their versions.
//
// Others may change cards meanwhile. What looks broken is looked at again on its own, so that it is only
// reported where no change explains it.
//
// The error is what kept it from looking; what it found is in the summary.
func (v *Vault) VerifyTrail(ctx context.Context, o VerifyOptions) (Summary, error) {
	w := &verifier{vault: v, expected: o.Expected, progress: o.Progress, findings: map[Fault]*Finding{},
		subjects: map[subject]*told{}, reached: map[string]walked{}}
	if w.expected == nil {
		w.expected = func(func(ChainHead, error) bool) {}
	}
	if w.progress == nil {
		w.progress = func(string, int64) {}
	}
	for _, step := range []func(context.Context) error{w.trail, w.controls, w.belongings, w.replays, w.lookups, w.server} {
		if err := step(ctx); err != nil {
			return Summary{}, err
		}
	}
	for _, f := range faults {
		if found := w.findings[f]; found != nil {
			w.Findings = append(w.Findings, *found)
		}
	}
	return w.Summary, nil
}

// verifier is a verification under way.
type verifier struct {
	Summary
	vault    *Vault
	expected iter.Seq2[ChainHead, error]
	progress func(what string, n int64)
	findings map[Fault]*Finding
	total    int64 // of breaks

	subjects map[subject]*told
	reached  map[string]walked // of chains that no card carries: how far they were read
	records  []recorded        // not looked for yet
}

// subject is what events of the control plane are about.
type subject struct {
	table Table
	id    string
}

// told is what events say of a subject.
type told struct {
	version int64
	chain   string
	seen    bool // its row was there
}

// recorded is a contract's record that an event tells of.
type recorded struct{ cardID, id string }

func (w *verifier) found(b Break) {
	if b.Fault == "" {
		return
	}
	f := w.findings[b.Fault]
	if f == nil {
		f = &Finding{Fault: b.Fault}
		w.findings[b.Fault] = f
	}
	f.Count++
	w.total++
	if len(f.Breaks) == 0 || b.Fault == FaultRolledBack && len(f.Breaks) < namedChains {
		f.Breaks = append(f.Breaks, b)
	}
}

const (
	// looks is how often a break is looked at before it is reported. On one server the first look is
	// enough; where tables are spread over several, a change may show on one a moment before the other.
	looks = 3
	// patience is how many breaks are waited for: a database that has more is not a moment behind.
	patience = 100
)

// settle looks for a break until there is none, or it stays.
func (w *verifier) settle(ctx context.Context, look func() (Break, error)) error {
	for n := 1; ; n++ {
		b, err := look()
		if err != nil {
			return err
		}
		if b.Fault == "" || n == looks || w.total >= patience || !pause(ctx) {
			w.found(b)
			return ctx.Err()
		}
	}
}

const (
	eventPage  = 1000
	lookupPage = 1000
	// lookupBatch bounds how many look-ups are asked for at once.
	lookupBatch = 100
)

// trail walks all chains, in the order of their ids: the events, the rows that carry their heads, and the
// heads that are expected.
func (w *verifier) trail(ctx context.Context) error {
	events := &cursor[EventRow]{size: eventPage, read: func(after EventRow) ([]EventRow, error) {
		w.progress("events", w.Events)
		return w.vault.store.ChainEvents(ctx, after.Chain, after.Seq, eventPage)
	}}
	cards, chains := w.vault.cardTips(ctx, func(rows []CardRow, records []Record, tips []tip) error {
		return w.cards(ctx, rows, records, tips)
	}), w.vault.chainTips(ctx)
	line, stop := iter.Pull2(w.expected)
	defer stop()
	expected := &cursor[ChainHead]{size: 1, read: func(ChainHead) ([]ChainHead, error) {
		head, err, more := line()
		if !more || err != nil {
			return nil, err
		}
		return []ChainHead{head}, nil
	}}
	for {
		event, err1 := events.peek()
		card, err2 := cards.peek()
		chain, err3 := chains.peek()
		head, err4 := expected.peek()
		if err := firstOf(err1, err2, err3, err4); err != nil {
			return err
		}
		var ids []string
		if event != nil {
			ids = append(ids, event.Chain)
		}
		if card != nil {
			ids = append(ids, card.Chain)
		}
		if chain != nil {
			ids = append(ids, chain.Chain)
		}
		if head != nil {
			ids = append(ids, head.Chain)
		}
		if len(ids) == 0 {
			return w.flush(ctx)
		}
		id := slices.Min(ids)
		var tips []tip
		if card != nil && card.Chain == id {
			tips = append(tips, *card)
			cards.skip()
		}
		if chain != nil && chain.Chain == id {
			tips = append(tips, *chain)
			chains.skip()
		}
		var wanted Head
		if head != nil && head.Chain == id {
			wanted = head.Head
			w.Heads++
			expected.skip()
		}
		if err := w.chain(ctx, events, id, tips, wanted); err != nil {
			return err
		}
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// chain walks one chain to its end, and holds that against the rows that carry its head. wanted is what a
// checkpoint says of it, if anything.
func (w *verifier) chain(ctx context.Context, events *cursor[EventRow], id string, tips []tip, wanted Head) error {
	var end walked
	kept := wanted.Seq == 0
	for {
		e, err := events.peek()
		if err != nil {
			return err
		}
		if e == nil || e.Chain != id {
			break
		}
		broken := w.step(&end, *e)
		for _, b := range broken {
			w.found(b)
		}
		if len(broken) == 0 {
			if err := w.note(ctx, *e); err != nil {
				return err
			}
		}
		kept = kept || same(end.Head, wanted)
		events.skip()
	}
	if end.Seq > 0 || len(tips) > 0 {
		w.Chains++
	}
	if !kept {
		w.found(Break{Fault: FaultRolledBack, Table: tableEvents, ID: id, Seq: wanted.Seq})
	}
	if len(tips) == 0 && end.Seq > 0 { // as when it was begun after its row was looked for
		return w.settle(ctx, func() (Break, error) { return w.headOf(ctx, "", id, &end) })
	}
	for _, t := range tips {
		if t.table == string(TableChains) {
			w.reached[id] = end
			if t.broken {
				w.found(Break{Fault: FaultSeal, Table: t.table, ID: id})
			}
		}
		if t.broken || same(t.Head, end.Head) && end.unheld == 0 {
			continue
		}
		if err := w.settle(ctx, func() (Break, error) { return w.headOf(ctx, t.table, id, &end) }); err != nil {
			return err
		}
		end.unheld = 0
	}
	w.found(end.vouched(id)) // of a chain whose head nobody knows
	return nil
}

// same tells whether two heads are one, as far as both are known.
func same(a, b Head) bool {
	return a.Seq == b.Seq && bytes.Equal(a.MAC, b.MAC) && (len(a.Digest) == 0 || len(b.Digest) == 0 || bytes.Equal(a.Digest, b.Digest))
}

// walked is how far a chain was read.
type walked struct {
	Head         // its digest is not known after a break
	unheld int64 // the first of the last events whose key is there no more and that no audit.rekeyed covers yet, 0: none
}

// vouched is no break where nothing is unheld.
func (end walked) vouched(chain string) Break {
	if end.unheld == 0 {
		return Break{}
	}
	return Break{Fault: FaultEventChanged, Table: tableEvents, ID: chain, Seq: end.unheld}
}

// step moves end to the next event, and tells what is wrong with it. One whose key is there no more is held by the
// audit.rekeyed with which the chain goes on under another key, or that one's by the next.
func (w *verifier) step(end *walked, e EventRow) (broken []Break) {
	before := *end
	*end = walked{Head: Head{Seq: e.Seq, MAC: e.MAC, Digest: e.digest(before.Head)}}
	fault := Fault("")
	switch {
	case e.Seq != before.Seq+1:
		fault = FaultEventMissing
	case w.vault.keys.VerifyMAC(UseAudit, e.macInput(before.MAC), e.MAC):
		if covers, is := e.covers(); is && (len(before.Digest) == 0 || bytes.Equal(covers, before.Digest)) {
			before.unheld = 0
		} else if is && before.unheld == 0 {
			fault = FaultEventChanged
		}
	default:
		if _, there := w.vault.keys.KeyID(UseAudit, e.MAC); !there {
			end.unheld = cmp.Or(before.unheld, e.Seq)
			before.unheld = 0
			break
		}
		fault = FaultEventChanged
	}
	w.Events++
	if b := before.vouched(e.Chain); b.Fault != "" {
		broken = append(broken, b)
	}
	if fault != "" {
		broken = append(broken, Break{Fault: fault, Table: tableEvents, ID: e.Chain, Seq: before.Seq + 1})
	}
	if len(broken) > 0 {
		end.Digest = nil
	}
	return broken
}

// subjectTables are those of the rows that events are about, by what their types begin with.
var subjectTables = map[string]Table{"program": TablePrograms, "client": TableClients, "key": TableZoneKeys, "webhook": TableWebhooks}

// note keeps in mind what an event tells of rows.
func (w *verifier) note(ctx context.Context, row EventRow) error {
	if !bytes.Contains(row.Body, []byte(`"subject"`)) {
		return nil
	}
	e, err := row.event()
	if err != nil {
		w.found(Break{Fault: FaultEventChanged, Table: tableEvents, ID: row.Chain, Seq: row.Seq})
		return nil //nolint:nilerr // it was found
	}
	thing, _, _ := strings.Cut(string(e.Type), ".")
	if table, ok := subjectTables[thing]; ok {
		t := w.subject(table, e.Subject)
		t.version, t.chain = max(t.version, e.Version), row.Chain
	}
	if e.Recorded {
		w.records = append(w.records, recorded{row.Chain, recordID(e.Contract, e.Subject)})
		if len(w.records) >= headPage {
			return w.flush(ctx)
		}
	}
	return nil
}

func (w *verifier) subject(t Table, id string) *told {
	s := w.subjects[subject{t, id}]
	if s == nil {
		s = &told{}
		w.subjects[subject{t, id}] = s
	}
	return s
}

// flush looks for the records that events have told of.
func (w *verifier) flush(ctx context.Context) error {
	var cards, ids []string
	for _, r := range w.records {
		cards, ids = append(cards, r.cardID), append(ids, r.id)
	}
	rows, err := w.vault.store.RowsOf(ctx, TableRecords, cards, ids)
	if err != nil {
		return err
	}
	there := map[recorded]bool{}
	for _, r := range rows {
		there[recorded{r.CardID, r.ID}] = true
	}
	for _, r := range w.records {
		if !there[r] {
			w.found(Break{Fault: FaultRowMissing, Table: string(TableRecords), ID: r.id})
		}
	}
	w.records = w.records[:0]
	return nil
}

// headOf reads the row that carries a chain's head, which was read up to end, and goes on from there: what
// was written since must lead to that row's head. A table of "" is either that may carry one. end comes to
// where it has read.
func (w *verifier) headOf(ctx context.Context, table, id string, end *walked) (Break, error) {
	t, err := w.tip(ctx, table, id)
	switch {
	case CodeOf(err) == NotFound:
		return Break{Fault: FaultHeadless, Table: tableEvents, ID: id, Seq: end.Seq}, nil
	case err != nil:
		return Break{}, err
	case t.broken:
		return Break{Fault: FaultSeal, Table: t.table, ID: id}, nil
	case t.Seq < end.Seq:
		return Break{Fault: FaultHeadBehind, Table: t.table, ID: id, Seq: t.Seq}, nil
	}
	if b, err := w.readOn(ctx, id, end, t.Seq); err != nil || b.Fault != "" {
		return b, err
	}
	if t.table == string(TableChains) {
		w.reached[id] = *end
	}
	switch {
	case end.Seq < t.Seq:
		return Break{Fault: FaultTailMissing, Table: tableEvents, ID: id, Seq: end.Seq + 1}, nil
	case !same(end.Head, t.Head):
		return Break{Fault: FaultHeadOther, Table: t.table, ID: id, Seq: t.Seq}, nil
	}
	return end.vouched(id), nil
}

// tip reads the row that carries a chain's head: NotFound.
func (w *verifier) tip(ctx context.Context, table, id string) (tip, error) {
	if table != string(TableChains) {
		rows, err := w.vault.store.CardsOf(ctx, []string{id})
		if err != nil {
			return tip{}, err
		}
		if len(rows) > 0 {
			rec, err := openCard(w.vault.keys, rows[0])
			return tip{ChainHead{id, rec.PIN.Head}, tableCards, err != nil}, nil
		}
	}
	if table == tableCards {
		return tip{}, &Error{Code: NotFound}
	}
	row, err := w.vault.store.Row(ctx, TableChains, "", id)
	if err != nil {
		return tip{}, err
	}
	head, err := openHead(w.vault.keys, row)
	return tip{ChainHead{id, head}, string(TableChains), err != nil}, nil
}

// readOn reads the events of a chain that follow end, as far as upTo (0: all), and moves end to the last
// one that holds.
func (w *verifier) readOn(ctx context.Context, id string, end *walked, upTo int64) (Break, error) {
	for upTo == 0 || end.Seq < upTo {
		page, err := w.vault.store.ChainEvents(ctx, id, end.Seq, eventPage)
		if err != nil {
			return Break{}, err
		}
		for _, e := range page {
			if e.Chain != id || end.Seq == upTo && upTo > 0 {
				return Break{}, nil
			}
			next := *end
			if broken := w.step(&next, e); len(broken) > 0 {
				return broken[0], nil
			}
			if err := w.note(ctx, e); err != nil {
				return Break{}, err
			}
			*end = next
		}
		if len(page) < eventPage {
			return Break{}, nil
		}
	}
	return Break{}, nil
}

// cards looks at a page of cards: their seals, and whether they are found by what they should be.
func (w *verifier) cards(ctx context.Context, rows []CardRow, records []Record, tips []tip) error {
	w.Cards += int64(len(rows))
	var expected []Lookup
	for i, t := range tips {
		if t.broken {
			w.found(Break{Fault: FaultSeal, Table: tableCards, ID: t.Chain})
			continue
		}
		expected = append(expected, records[i].Card.Lookups()...)
	}
	again := map[string]bool{}
	missing, err := w.missing(ctx, expected)
	for _, l := range missing {
		again[l.CardID] = true
	}
	for _, row := range rows {
		if err == nil && again[row.ID] {
			err = w.lookupsHold(ctx, row.ID, nil)
		}
	}
	return err
}

// missing are the look-ups that are not there, or lead elsewhere.
func (w *verifier) missing(ctx context.Context, expected []Lookup) ([]Lookup, error) {
	var out []Lookup
	for batch := range slices.Chunk(expected, lookupBatch) {
		found, err := w.vault.store.LookupsOf(ctx, batch)
		if err != nil {
			return nil, err
		}
		there := make(map[Lookup]bool, len(found))
		for _, l := range found {
			there[l] = true
		}
		for _, l := range batch {
			if !there[l] {
				out = append(out, l)
			}
		}
	}
	return out, nil
}

// quietLooks is how often a card is read before and after its look-ups, in the hope that nobody changes
// it meanwhile.
const quietLooks = 50

// lookupsHold compares a card with its look-ups on its own, and with one more that was seen to lead to it.
func (w *verifier) lookupsHold(ctx context.Context, cardID string, seen *Lookup) error {
	for range quietLooks {
		before, err := w.card(ctx, cardID)
		if err != nil {
			return err
		}
		expected := before.Lookups()
		missing, err := w.missing(ctx, expected)
		if err != nil {
			return err
		}
		forged := false
		if seen != nil && !slices.Contains(expected, *seen) {
			gone, err := w.missing(ctx, []Lookup{*seen})
			if err != nil {
				return err
			}
			forged = len(gone) == 0
		}
		if len(missing) == 0 && !forged {
			return nil
		}
		after, err := w.card(ctx, cardID)
		if err != nil {
			return err
		}
		if before.Version == after.Version && before.PANIndex == after.PANIndex { // its look-ups change with these only
			if len(missing) > 0 {
				w.found(Break{Fault: FaultLookupMissing, Table: tableLookups, ID: cardID, Kind: missing[0].Kind})
			}
			if forged {
				w.found(Break{Fault: FaultLookupForged, Table: tableLookups, ID: cardID, Kind: seen.Kind})
			}
			return nil
		}
		if !pause(ctx) {
			return ctx.Err()
		}
	}
	w.Unsettled++
	return nil
}

// card reads a card, which is the zero Card where it is not there, or its seal is broken.
func (w *verifier) card(ctx context.Context, id string) (Card, error) {
	rows, err := w.vault.store.CardsOf(ctx, []string{id})
	if err != nil || len(rows) == 0 {
		return Card{}, err
	}
	rec, err := openCard(w.vault.keys, rows[0])
	if err != nil {
		return Card{}, nil //nolint:nilerr // reported with the card
	}
	return rec.Card, nil
}

// rows goes through a table: every seal, and what else there is to look at in a page.
func (w *verifier) rows(ctx context.Context, t Table, look func(sound []Row) error) error {
	for after := (Row{}); ; {
		w.progress("rows", w.Rows)
		page, err := w.vault.store.Rows(ctx, t, after, headPage)
		if err != nil {
			return err
		}
		sound := make([]Row, 0, len(page))
		for _, r := range page {
			w.Rows++
			if !w.vault.keys.VerifyMAC(UseSeal, r.sealInput(), r.Seal) || !json.Valid(r.Body) {
				w.found(Break{Fault: FaultSeal, Table: string(t), ID: r.ID})
				if s := w.subjects[subject{t, r.ID}]; s != nil {
					s.seen = true
				}
				continue
			}
			sound = append(sound, r)
		}
		if err := look(sound); err != nil {
			return err
		}
		if len(page) < headPage {
			return nil
		}
		after = page[len(page)-1]
	}
}

// controls holds programs, clients, zone keys and webhooks against the events about them: the row's version must be
// that of the newest one.
func (w *verifier) controls(ctx context.Context) error {
	for _, t := range []Table{TablePrograms, TableClients, TableZoneKeys, TableWebhooks} {
		if err := w.rows(ctx, t, func(sound []Row) error {
			for _, r := range sound {
				chain := chainOf(r.ProgramID)
				if t == TablePrograms {
					chain = r.ID
				}
				s := w.subject(t, r.ID)
				s.seen = true
				if s.version == r.Version {
					continue
				}
				if err := w.settle(ctx, func() (Break, error) { return w.rowHolds(ctx, t, r.ID, chain) }); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for about, s := range w.subjects {
		if s.seen {
			continue
		}
		if err := w.settle(ctx, func() (Break, error) { return w.rowHolds(ctx, about.table, about.id, s.chain) }); err != nil {
			return err
		}
	}
	return nil
}

// rowHolds compares a row with the events about it, on its own: the version that it had before they were
// read must be told of, and what they tell must be there afterwards.
func (w *verifier) rowHolds(ctx context.Context, t Table, id, chain string) (Break, error) {
	before, err := w.version(ctx, t, id)
	if err != nil {
		return Break{}, err
	}
	end := w.reached[chain]
	if b, err := w.readOn(ctx, chain, &end, 0); err != nil || b.Fault != "" {
		return b, err
	}
	w.reached[chain] = end
	after, err := w.version(ctx, t, id)
	if err != nil {
		return Break{}, err
	}
	b := Break{Table: string(t), ID: id}
	switch said := w.subject(t, id).version; {
	case before > said:
		b.Fault = FaultRowUntold
	case after == 0 && said > 0:
		b.Fault = FaultRowMissing
	case after < said:
		b.Fault = FaultRowOld
	}
	return b, nil
}

// version is a row's, 0 where it is not there.
func (w *verifier) version(ctx context.Context, t Table, id string) (int64, error) {
	row, err := w.vault.store.Row(ctx, t, "", id)
	if CodeOf(err) == NotFound {
		return 0, nil
	}
	return row.Version, err
}

// belongingKinds are the kinds of look-ups by which rows are found that belong to a card.
var belongingKinds = map[Kind]Table{KindSession: TableSessions, KindApproval: TableApprovals, KindRecord: TableRecords}

// belongings looks at what belongs to cards: seals, and whether it is found.
func (w *verifier) belongings(ctx context.Context) error {
	for _, kind := range []Kind{KindSession, KindApproval, KindRecord} {
		if err := w.rows(ctx, belongingKinds[kind], func(sound []Row) error {
			expected := make([]Lookup, len(sound))
			for i, r := range sound {
				expected[i] = belongs(kind, r)
			}
			missing, err := w.missing(ctx, expected)
			if err != nil {
				return err
			}
			for _, l := range missing {
				// Unless it was purged meanwhile, and its look-up with it.
				if there, err := w.belonging(ctx, l); err != nil {
					return err
				} else if there {
					w.found(Break{Fault: FaultLookupMissing, Table: tableLookups, ID: l.Value, Kind: kind})
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// belongs is the look-up that finds a row which belongs to a card.
func belongs(kind Kind, r Row) Lookup {
	return Lookup{Kind: kind, Value: r.ID, ProgramID: r.ProgramID, CardID: r.CardID}
}

// belonging tells whether the row is there that a look-up leads to.
func (w *verifier) belonging(ctx context.Context, l Lookup) (bool, error) {
	rows, err := w.vault.store.RowsOf(ctx, belongingKinds[l.Kind], []string{l.CardID}, []string{l.Value})
	return len(rows) == 1 && belongs(l.Kind, rows[0]) == l, err
}

// replays looks at the seals of idempotency records. That one is missing does not show: they are deleted when their time is over, and
// what is then done twice is in the trail twice (SECURITY.md).
func (w *verifier) replays(ctx context.Context) error {
	return w.rows(ctx, TableReplays, func([]Row) error { return nil })
}

// lookups holds every look-up against the card or row that it leads to.
func (w *verifier) lookups(ctx context.Context) error {
	for after := (Lookup{}); ; {
		w.progress("look-ups", w.Lookups)
		page, err := w.vault.store.Lookups(ctx, after, lookupPage)
		if err != nil {
			return err
		}
		w.Lookups += int64(len(page))
		for batch := range slices.Chunk(page, headPage) {
			if err := w.lead(ctx, batch); err != nil {
				return err
			}
		}
		if len(page) < lookupPage {
			return nil
		}
		after = page[len(page)-1]
	}
}

// lead tells whether look-ups lead where they should.
func (w *verifier) lead(ctx context.Context, batch []Lookup) error {
	carried, err := w.carried(ctx, batch)
	if err != nil {
		return err
	}
	for _, l := range batch {
		if carried[l] {
			continue
		}
		if _, ofRow := belongingKinds[l.Kind]; !ofRow {
			err = w.lookupsHold(ctx, l.CardID, &l)
		} else {
			err = w.rowIsThere(ctx, l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// carried are the look-ups of a batch that lead where they should.
func (w *verifier) carried(ctx context.Context, batch []Lookup) (map[Lookup]bool, error) {
	carried := map[Lookup]bool{}
	ids, cards := map[Kind][]string{}, map[Kind][]string{} // of kinds that lead to rows; under "" those of cards
	for _, l := range batch {
		kind := l.Kind
		if _, ofRow := belongingKinds[kind]; !ofRow {
			kind = ""
		}
		ids[kind], cards[kind] = append(ids[kind], l.Value), append(cards[kind], l.CardID)
	}
	for kind, table := range belongingKinds {
		rows, err := w.vault.store.RowsOf(ctx, table, cards[kind], ids[kind])
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			carried[belongs(kind, r)] = true
		}
	}
	rows, err := w.vault.store.CardsOf(ctx, cards[""])
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		rec, err := openCard(w.vault.keys, row)
		if err != nil {
			for _, l := range batch { // reported with the card
				carried[l] = carried[l] || l.CardID == row.ID
			}
			continue
		}
		for _, l := range rec.Card.Lookups() {
			carried[l] = true
		}
	}
	return carried, nil
}

// rowIsThere looks again for the row that a look-up leads to. Both come and go together, and none comes
// twice.
func (w *verifier) rowIsThere(ctx context.Context, l Lookup) error {
	gone, err := w.missing(ctx, []Lookup{l})
	if err != nil || len(gone) > 0 {
		return err
	}
	there, err := w.belonging(ctx, l)
	if err == nil && !there {
		w.found(Break{Fault: FaultLookupForged, Table: tableLookups, ID: l.CardID, Kind: l.Kind})
	}
	return err
}

// server tells whether the server's own chain is there, with which every vault begins.
func (w *verifier) server(ctx context.Context) error {
	return w.settle(ctx, func() (Break, error) {
		_, err := w.vault.store.Row(ctx, TableChains, "", serverChain)
		if CodeOf(err) == NotFound {
			return Break{Fault: FaultServer, Table: string(TableChains), ID: serverChain}, nil
		}
		return Break{}, err
	})
}
