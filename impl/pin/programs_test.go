package pin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func TestSettingsAreTakenUpToTheirEdges(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	for _, test := range []struct {
		field string // "": taken
		set   func(p *pin.Program)
	}{
		{"", func(p *pin.Program) { p.MinPINLength, p.MaxPINLength = 4, 4 }},
		{"", func(p *pin.Program) { p.MinPINLength, p.MaxPINLength = 12, 12 }},
		{"", func(p *pin.Program) { p.MinPINLength, p.MaxPINLength = 4, 12 }},
		{"minPinLength", func(p *pin.Program) { p.MinPINLength = 3 }},
		{"minPinLength", func(p *pin.Program) { p.MinPINLength, p.MaxPINLength = 13, 13 }},
		{"maxPinLength", func(p *pin.Program) { p.MaxPINLength = 13 }},
		{"maxPinLength", func(p *pin.Program) { p.MinPINLength, p.MaxPINLength = 6, 5 }},
		{"", func(p *pin.Program) { p.TryLimit = 1 }},
		{"", func(p *pin.Program) { p.TryLimit = 15 }},
		{"tryLimit", func(p *pin.Program) { p.TryLimit = 0 }},
		{"tryLimit", func(p *pin.Program) { p.TryLimit = 16 }},
		{"", func(p *pin.Program) { p.Policy = pin.PolicyOff }},
		{"", func(p *pin.Program) { p.Policy = pin.PolicyWeakList }},
		{"", func(p *pin.Program) { p.Policy = pin.PolicyHistory }},
		{"pinPolicy", func(p *pin.Program) { p.Policy = "" }},
		{"", func(p *pin.Program) { p.TimeZone = "Asia/Dubai" }},
		{"", func(p *pin.Program) { p.TimeZone = "" }},
		{"timeZone", func(p *pin.Program) { p.TimeZone = "Local" }},
		{"timeZone", func(p *pin.Program) { p.TimeZone = "Nowhere/Else" }},
		{"name", func(p *pin.Program) { p.Name = "" }},
	} {
		p := pin.NewProgram("edge")
		test.set(&p)
		made, err := w.CreateProgram(by(t), p, pin.Memo{})
		_, updateErr := w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { test.set(p); return nil }, pin.Memo{})
		_, backErr := w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { *p = pin.NewProgram("test"); return nil }, pin.Memo{})
		require.NoError(t, backErr)
		if test.field == "" {
			require.NoError(t, err)
			require.NoError(t, updateErr)
			p.ID, p.Version, p.CreatedAt, p.UpdatedAt = made.ID, 1, w.clock(), w.clock()
			require.Equal(t, p, made)
			continue
		}
		for _, err := range []error{err, updateErr} {
			require.Equal(t, pin.InvalidField, pin.CodeOf(err), test.field)
			require.Equal(t, test.field, pin.FieldOf(err))
		}
	}
}

func TestAProgramIsChangedByVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.later(time.Hour)
	p, err := w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error {
		require.Equal(t, w.program, *p)
		p.ID, p.Version, p.CreatedAt, p.RetrievalEpoch, p.TryLimit = "x", 17, time.Time{}, 17, 5
		return nil
	}, pin.Memo{})
	require.NoError(t, err)
	want := w.program
	want.Version, want.UpdatedAt, want.TryLimit = 2, w.clock(), 5
	require.Equal(t, want, p)
	last := w.events(t, p.ID)[1]
	require.Equal(t, pin.EventProgramUpdated, last.Type)
	require.Equal(t, int64(2), last.Version)
	require.Equal(t, []pin.FieldChange{{Field: "tryLimit", Old: "3", New: "5"}}, last.Changes, "with what they were")
	read, err := w.Program(by(t), p.ID)
	require.NoError(t, err)
	require.Equal(t, p, read, "at once in this process")
	require.Equal(t, 5, w.record(t).Program.TryLimit)
	require.Equal(t, 3, w.remaining(t), "a raised limit restores nothing")

	no := errors.New("no")
	_, err = w.UpdateProgram(by(t), p.ID, func(*pin.Program) error { return no }, pin.Memo{})
	require.ErrorIs(t, err, no)
	for _, id := range []string{"nobody's", ""} {
		_, err = w.UpdateProgram(by(t), id, func(*pin.Program) error { return nil }, pin.Memo{})
		require.Equal(t, pin.NotFound, pin.CodeOf(err))
		_, err = w.Program(by(t), id)
		require.Equal(t, pin.NotFound, pin.CodeOf(err))
	}
	stranger := pin.WithCaller(by(t), pin.Caller{ProgramID: "other"})
	_, err = w.UpdateProgram(stranger, p.ID, func(*pin.Program) error { return nil }, pin.Memo{})
	require.Equal(t, pin.NotFound, pin.CodeOf(err))

	w.tap.before = meanwhile("Swap", func() {
		_, err := w.sibling().UpdateProgram(by(t), p.ID, func(p *pin.Program) error { p.Name = "y"; return nil }, pin.Memo{})
		require.NoError(t, err)
	})
	_, err = w.UpdateProgram(by(t), p.ID, func(p *pin.Program) error { p.Name = "z"; return nil }, pin.Memo{})
	require.Equal(t, pin.Conflict, pin.CodeOf(err))
	require.Equal(t, "programs", pin.FieldOf(err))
	_, err = w.CreateProgram(by(t), pin.Program{ID: p.ID, Name: "twice", MinPINLength: 4, MaxPINLength: 4, TryLimit: 1, Policy: pin.PolicyOff, TimeZone: "UTC"}, pin.Memo{})
	require.Equal(t, pin.Duplicate, pin.CodeOf(err))
}

// What another process changed about a program counts for its cards at once, and is shown within a second.
// What a contract knows of a program is told member by member, and nobody else's copy of the program changes
// with it.
func TestTheTrailTellsContractsSettingsOneByOne(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	set := func(settings string) pin.Program {
		p, err := w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error {
			if p.Settings == nil {
				p.Settings = map[string]json.RawMessage{}
			}
			p.Settings["fax"] = json.RawMessage(settings)
			return nil
		}, pin.Memo{})
		require.NoError(t, err)
		return p
	}
	told := func() []pin.FieldChange {
		events := w.events(t, w.program.ID)
		return events[len(events)-1].Changes
	}
	first := set(`{"flag":true,"text":"a","list":["b"]}`)
	require.Equal(t, []pin.FieldChange{{Field: "fax.flag", New: "true"}, {Field: "fax.list", New: `["b"]`}, {Field: "fax.text", New: "a"}}, told())
	set(`{"flag":false,"text":"a"}`)
	require.Equal(t, []pin.FieldChange{{Field: "fax.flag", Old: "true", New: "false"}, {Field: "fax.list", Old: `["b"]`}}, told())
	require.Equal(t, `{"flag":true,"text":"a","list":["b"]}`, string(first.Settings["fax"]))
}

func TestAnotherProcessChangesAProgram(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	_, err := w.Program(by(t), w.program.ID)
	require.NoError(t, err)
	_, err = w.sibling().UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { p.TryLimit = 1; return nil }, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, 1, w.remaining(t))
	shown := func() int {
		p, err := w.Program(by(t), w.program.ID)
		require.NoError(t, err)
		return p.TryLimit
	}
	w.later(400*time.Millisecond - time.Microsecond)
	require.Equal(t, 3, shown())
	w.later(time.Microsecond)
	require.Equal(t, 1, shown())
}

func TestProgramsAreListedInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"a", "b", "c"} {
		p := pin.NewProgram(id)
		p.ID = id
		_, err := w.CreateProgram(by(t), p, pin.Memo{})
		require.NoError(t, err)
	}
	ids := func(who pin.Caller, after string, limit int) (out []string) {
		all, err := w.Programs(pin.WithCaller(by(t), who), pin.Page{After: after, Limit: limit})
		require.NoError(t, err)
		for _, p := range all {
			out = append(out, p.ID)
		}
		return out
	}
	require.Equal(t, []string{w.program.ID, "a", "b", "c"}, ids(operator, "", 10))
	require.Equal(t, []string{"b"}, ids(operator, "a", 1))
	require.Empty(t, ids(operator, "c", 10))
	require.Empty(t, ids(pin.Caller{}, "", 10), "nobody")
	b := pin.Caller{ProgramID: "b"}
	require.Equal(t, []string{"b"}, ids(b, "", 10))
	require.Equal(t, []string{"b"}, ids(b, "a", 10))
	require.Empty(t, ids(b, "b", 10))
	require.Empty(t, ids(b, "c", 10))
	_, err := w.Programs(pin.WithCaller(by(t), pin.Caller{ProgramID: "nobody's"}), pin.Page{Limit: 1})
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
}

func TestRetrievalIsSwitchedInEpochs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	epoch := func(allowed bool) int64 {
		p, err := w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { p.RetrievalAllowed = allowed; return nil }, pin.Memo{})
		require.NoError(t, err)
		return p.RetrievalEpoch
	}
	reveal := func() pin.Code {
		p, err := w.RevealPIN(by(t), w.q)
		require.Equal(t, err == nil, p.Len() > 0)
		return pin.CodeOf(err)
	}
	require.Zero(t, epoch(true), "nothing was switched")
	require.Empty(t, reveal())
	require.Equal(t, int64(1), epoch(false))
	require.Equal(t, int64(1), epoch(false))
	require.Equal(t, pin.RetrievalOff, reveal())
	require.NoError(t, w.SetPIN(by(t), w.q, plain(t, another), pin.Memo{}))
	require.Empty(t, w.record(t).PIN.Ciphertext, "a PIN that must not be read back is not kept for it")
	require.Equal(t, int64(2), epoch(true))
	require.Equal(t, pin.RetrievalOff, reveal())
	require.NoError(t, w.SetPIN(by(t), w.q, plain(t, right), pin.Memo{}))
	require.Equal(t, int64(2), w.record(t).PIN.KeptUnder)
	require.Empty(t, reveal())
	none := w.second(t, pin.NewCard{NoPIN: true})
	_, err := w.RevealPIN(by(t), pin.Query{CardID: none.ID})
	require.Equal(t, pin.NoPIN, pin.CodeOf(err))
}

// A card that is decided on while it keeps a PIN that must not be read back drops it, whatever was decided.
func TestWhatForgettingHasMissedIsForgottenWithTheNextChange(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	w.tap.before = always("Cards", errDown)
	_, err := w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { p.RetrievalAllowed = false; return nil }, pin.Memo{})
	require.NoError(t, err, "what is not forgotten now is later")
	require.NotEmpty(t, w.record(t).PIN.Ciphertext)
	require.Equal(t, pin.Match, w.try(t, right).Result)
	require.Empty(t, w.record(t).PIN.Ciphertext)
	require.Zero(t, w.record(t).PIN.KeptUnder)
}

func TestForgettingGoesThroughAllCardsOfAProgram(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	other, err := w.CreateProgram(by(t), pin.Program{Name: "other", MinPINLength: 4, MaxPINLength: 4, TryLimit: 1, Policy: pin.PolicyOff, TimeZone: "UTC", RetrievalAllowed: true}, pin.Memo{})
	require.NoError(t, err)
	neighbour, err := w.CreateCard(by(t), pin.NewCard{ProgramID: other.ID}, pin.Memo{})
	require.NoError(t, err)
	const more = 1000
	for i := range more - 1 { // with the world's own two full batches
		w.second(t, pin.NewCard{ID: fmt.Sprintf("%05d", i), PIN: of(t, right), NoPIN: i == 7 || i == 600})
	}
	w.tap.before = always("Cards", errDown)
	p, err := w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { p.RetrievalAllowed = false; return nil }, pin.Memo{})
	require.NoError(t, err)

	w.tap.count, w.tap.calls, w.tap.before = true, nil, nil
	n, err := w.ForgetPINs(by(t), p)
	require.NoError(t, err)
	require.Equal(t, more-2, n, "all but those without a PIN")
	pages := 0
	for _, call := range w.tap.calls {
		if call == "Cards" {
			pages++
		}
	}
	require.Equal(t, 3, pages, "the last one is empty")
	n, err = w.ForgetPINs(by(t), p)
	require.NoError(t, err)
	require.Zero(t, n)
	p, err = w.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { p.RetrievalAllowed = true; return nil }, pin.Memo{})
	require.NoError(t, err)
	require.NoError(t, w.SetPIN(by(t), w.q, plain(t, another), pin.Memo{}))
	n, err = w.ForgetPINs(by(t), p)
	require.NoError(t, err)
	require.Zero(t, n, "what may be read back stays")
	read, err := w.RevealPIN(by(t), w.q)
	require.NoError(t, err)
	require.True(t, read.Equal(of(t, another)))
	_, err = w.RevealPIN(by(t), pin.Query{CardID: neighbour.ID})
	require.NoError(t, err, "another program's PINs stay")
}

// A card whose PIN is set, for good, while its old one is being forgotten keeps the new one.
func TestForgettingLeavesWhatWasSetMeanwhile(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	switched := func(v *pin.Vault, allowed bool) {
		_, err := v.UpdateProgram(by(t), w.program.ID, func(p *pin.Program) error { p.RetrievalAllowed = allowed; return nil }, pin.Memo{})
		require.NoError(t, err)
	}
	w.tap.before = always("Cards", errDown)
	switched(w.Vault, false)
	p, err := w.Program(by(t), w.program.ID)
	require.NoError(t, err)
	w.tap.before = meanwhile("Find", func() {
		other := w.sibling()
		switched(other, true)
		require.NoError(t, other.SetPIN(by(t), w.q, plain(t, another), pin.Memo{}))
	})
	_, err = w.ForgetPINs(by(t), p)
	require.NoError(t, err)
	read, err := w.RevealPIN(by(t), w.q)
	require.NoError(t, err)
	require.True(t, read.Equal(of(t, another)))

	w.tap.before = always("Cards", errDown)
	switched(w.Vault, false)
	for _, call := range []string{"Find", "Swap", "Cards"} {
		w.tap.before = always(call, errDown)
		n, err := w.ForgetPINs(by(t), p)
		require.Equal(t, pin.Unavailable, pin.CodeOf(err), call)
		require.Zero(t, n)
	}
}

// A PAN that somebody wrote into a name is in no event, and an id is told whole, whatever digits it has.
func TestTheTrailTellsIDsAndNoPAN(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	const id = "12345678-1234-4234-8234-123456789012"
	_, err := w.CreateProgram(by(t), pin.Program{ID: id, Name: "for 9999990000000014", MinPINLength: 4, MaxPINLength: 4, TryLimit: 1, Policy: pin.PolicyOff, TimeZone: "UTC"}, pin.Memo{})
	require.NoError(t, err)
	told := map[string]string{}
	for _, change := range w.events(t, id)[0].Changes {
		told[change.Field] = change.New
	}
	require.Equal(t, id, told["id"])
	require.Equal(t, "for ****************", told["name"])

	p, err := w.UpdateProgram(by(t), id, func(p *pin.Program) error { p.Name = "0001-01-01T00:00:00.9999990000000014Z"; return nil }, pin.Memo{})
	require.NoError(t, err)
	last := w.events(t, p.ID)
	require.NotContains(t, last[len(last)-1].Changes[0].New, "9999990000000014", "no time that was made here has so many digits")
}
