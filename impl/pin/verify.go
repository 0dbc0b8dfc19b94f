package pin

import (
	"context"
	"fmt"
	"iter"
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
	FaultRowOld        Fault = "a row is older than the newest event about it" // or was, when it was changed the last time
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
