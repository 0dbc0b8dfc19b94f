package pin_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

func ref(kind pin.Kind, value string) pin.Reference { return pin.Reference{Kind: kind, Value: value} }

// second makes another card of the world's program.
func (w *world) second(t *testing.T, n pin.NewCard) pin.Card {
	t.Helper()
	n.ProgramID = w.program.ID
	c, err := w.CreateCard(by(t), n, pin.Memo{})
	require.NoError(t, err)
	return c
}

func TestACardIsFoundByEverythingThatItHasAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.second(t, pin.NewCard{PAN: "9999990000000022", Expiry: "2912", Sequence: "01",
		Attributes: pin.Attributes{CustomerID: "cu", MobileNumber: "mo", CardProfileID: "pr", ProgramCode: "pc", DevicePlanCode: "dp"},
		References: []pin.Reference{ref(pin.KindURN, "2"), ref(pin.KindIdentifier, "i"), ref(pin.KindAlias, "B")}})
	byURN := []pin.Reference{ref(pin.KindURN, "2")}
	for name, test := range map[string]struct {
		q    pin.Query
		by   pin.Kind // what the store was asked for
		want pin.Code
	}{
		"id":                           {pin.Query{CardID: c.ID}, "", ""},
		"another id":                   {pin.Query{CardID: "nobody"}, "", pin.NotFound},
		"reference":                    {pin.Query{References: byURN}, pin.KindURN, ""},
		"another value":                {pin.Query{References: []pin.Reference{ref(pin.KindURN, "3")}}, pin.KindURN, pin.NotFound},
		"another kind's value":         {pin.Query{References: []pin.Reference{ref(pin.KindNumber, "2")}}, pin.KindNumber, pin.NotFound},
		"alias":                        {pin.Query{References: []pin.Reference{ref(pin.KindAlias, "B")}}, pin.KindAlias, ""},
		"PAN":                          {pin.Query{References: []pin.Reference{ref(pin.KindPAN, "9999990000000022")}}, pin.KindPAN, ""},
		"another PAN":                  {pin.Query{References: []pin.Reference{ref(pin.KindPAN, "9999990000000030")}}, pin.KindPAN, pin.NotFound},
		"customer":                     {pin.Query{Holder: pin.Holder{CustomerID: "cu"}}, "customerId", ""},
		"another customer":             {pin.Query{Holder: pin.Holder{CustomerID: "mo"}}, "customerId", pin.NotFound},
		"mobile number":                {pin.Query{Holder: pin.Holder{MobileNumber: "mo"}}, "mobileNumber", ""},
		"profile":                      {pin.Query{Holder: pin.Holder{CardProfileID: "pr"}}, "cardProfileId", ""},
		"all at once":                  {pin.Query{ProgramID: w.program.ID, References: byURN, ProgramCode: "pc", DevicePlanCode: "dp", Holder: pin.Holder{CustomerID: "cu", MobileNumber: "mo", CardProfileID: "pr"}}, pin.KindURN, ""},
		"what fits one card best":      {pin.Query{References: []pin.Reference{ref(pin.KindAlias, "B"), ref(pin.KindPAN, "9999990000000022"), ref(pin.KindIdentifier, "i"), ref(pin.KindURN, "2")}}, pin.KindIdentifier, ""},
		"the first of what many share": {pin.Query{References: []pin.Reference{ref(pin.KindAlias, "B")}, Holder: pin.Holder{CustomerID: "cu"}}, pin.KindAlias, ""},
		"id and a wrong reference":     {pin.Query{CardID: c.ID, References: []pin.Reference{ref(pin.KindURN, "1")}}, "", pin.NotFound},
		"id and a wrong PAN":           {pin.Query{CardID: c.ID, References: []pin.Reference{ref(pin.KindPAN, pan)}}, "", pin.NotFound},
		"id and its PAN":               {pin.Query{CardID: c.ID, References: []pin.Reference{ref(pin.KindPAN, "9999990000000022")}}, "", ""},
		"one of two references":        {pin.Query{References: []pin.Reference{ref(pin.KindURN, "2"), ref(pin.KindIdentifier, "j")}}, pin.KindURN, pin.NotFound},
		"a wrong customer besides":     {pin.Query{References: byURN, Holder: pin.Holder{CustomerID: "x"}}, pin.KindURN, pin.NotFound},
		"a wrong number besides":       {pin.Query{References: byURN, Holder: pin.Holder{MobileNumber: "x"}}, pin.KindURN, pin.NotFound},
		"a wrong profile besides":      {pin.Query{References: byURN, Holder: pin.Holder{CardProfileID: "x"}}, pin.KindURN, pin.NotFound},
		"a wrong program code besides": {pin.Query{References: byURN, ProgramCode: "x"}, pin.KindURN, pin.NotFound},
		"a wrong plan code besides":    {pin.Query{References: byURN, DevicePlanCode: "x"}, pin.KindURN, pin.NotFound},
		"another program":              {pin.Query{ProgramID: "other", References: byURN}, pin.KindURN, pin.NotFound},
		"id in another program":        {pin.Query{ProgramID: "other", CardID: c.ID}, "", pin.NotFound},
		"nothing":                      {pin.Query{}, "", pin.NotFound},
		"a check that is content":      {pin.Query{CardID: c.ID, Check: func(r pin.Record) error { require.Equal(t, c.ID, r.Card.ID); return nil }}, "", ""},
		"a check that is not":          {pin.Query{CardID: c.ID, Check: func(pin.Record) error { return &pin.Error{Code: pin.WrongPIN} }}, "", pin.WrongPIN},
	} {
		w.tap.count = true
		rec, err := w.Card(by(t), test.q)
		w.tap.count = false
		require.Equal(t, test.want, pin.CodeOf(err), name)
		require.Equal(t, test.by, w.tap.search.Kind, name)
		require.Equal(t, test.q.CardID, w.tap.search.CardID, name)
		if err == nil {
			require.Equal(t, c, rec.Card, name)
			require.Equal(t, w.program, rec.Program, name)
		}
		if code := pin.CodeOf(err); code != "" && code != pin.WrongPIN {
			found, err := w.Find(by(t), test.q, 10)
			require.NoError(t, err)
			require.Empty(t, found, name)
		}
	}
}

// Credit+ names a card by its device number or its PAN and does not say which.
func TestADeviceIsFoundByItsNumberOrItsPAN(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const one, two, three, four = "9999990000000022", "9999990000000030", "9999990000000048", "9999990000000055"
	device := func(value string) pin.Query {
		return pin.Query{References: []pin.Reference{ref(pin.KindDevice, value)}}
	}
	plain := w.second(t, pin.NewCard{PAN: one, References: []pin.Reference{ref(pin.KindNumber, "50000000000001"), ref(pin.KindIdentifier, "i")}})
	bare := w.second(t, pin.NewCard{References: []pin.Reference{ref(pin.KindNumber, "50000000000002")}})
	same := w.second(t, pin.NewCard{PAN: two, References: []pin.Reference{ref(pin.KindNumber, two)}})
	w.second(t, pin.NewCard{PAN: three})
	w.second(t, pin.NewCard{References: []pin.Reference{ref(pin.KindNumber, three)}})
	w.second(t, pin.NewCard{PAN: four, Sequence: "01"})
	w.second(t, pin.NewCard{PAN: four, Sequence: "02"})
	for name, test := range map[string]struct {
		q     pin.Query
		found string
		want  pin.Code
	}{
		"the device number":                    {device("50000000000001"), plain.ID, ""},
		"the PAN":                              {device(one), plain.ID, ""},
		"the number of a card without PAN":     {device("50000000000002"), bare.ID, ""},
		"the PAN that is the number too":       {device(two), same.ID, ""},
		"neither":                              {device("9999990000000063"), "", pin.NotFound},
		"one card's PAN and another's number":  {device(three), "", pin.Ambiguous},
		"a PAN that two cards have":            {device(four), "", pin.Ambiguous},
		"the PAN, and the card's id":           {pin.Query{CardID: plain.ID, References: device(one).References}, plain.ID, ""},
		"another's PAN, and the card's id":     {pin.Query{CardID: plain.ID, References: device(two).References}, "", pin.NotFound},
		"the PAN, and another reference of it": {pin.Query{References: []pin.Reference{ref(pin.KindDevice, one), ref(pin.KindIdentifier, "i")}}, plain.ID, ""},
		"the PAN, and nobody's reference":      {pin.Query{References: []pin.Reference{ref(pin.KindDevice, one), ref(pin.KindIdentifier, "j")}}, "", pin.NotFound},
		"the PAN, in another program":          {pin.Query{ProgramID: "other", References: device(one).References}, "", pin.NotFound},
	} {
		rec, err := w.Card(by(t), test.q)
		require.Equal(t, test.want, pin.CodeOf(err), name)
		require.Equal(t, test.found, rec.Card.ID, name)
	}
	w.tap.count = true
	_, err := w.Card(by(t), device(one))
	require.NoError(t, err)
	require.Equal(t, []string{"Find"}, w.tap.calls, "in one round trip")
	require.Equal(t, []string{plain.PANIndex}, w.tap.search.OrValues, "PANs are sought by their hash")
}

func TestFindListsAsManyAsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ids []string
	for range 3 {
		ids = append(ids, w.second(t, pin.NewCard{Attributes: pin.Attributes{CustomerID: "many"}}).ID)
	}
	slices.Sort(ids)
	q := pin.Query{Holder: pin.Holder{CustomerID: "many"}}
	for n := range 5 {
		found, err := w.Find(by(t), q, n)
		require.NoError(t, err)
		require.Len(t, found, min(n, 3))
		for i, r := range found {
			require.Equal(t, ids[i], r.Card.ID, "in the order of their ids")
		}
	}
	_, err := w.Card(by(t), q)
	require.Equal(t, pin.Ambiguous, pin.CodeOf(err))
	bound := pin.WithCaller(by(t), pin.Caller{ProgramID: w.program.ID})
	found, err := w.Find(bound, q, 10)
	require.NoError(t, err)
	require.Len(t, found, 3, "a bound caller's program is the one that it looks in")
	w.tap.count = true
	_, err = w.Find(bound, pin.Query{ProgramID: "other", Holder: q.Holder}, 10)
	require.NoError(t, err)
	require.Empty(t, w.tap.calls, "what cannot be reached is not even looked for")
}

func TestASequenceNumberChoosesAmongCardsOfOneNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const number = "9999990000000022"
	byPAN := []pin.Reference{ref(pin.KindPAN, number)}
	ids := map[string]string{"02": w.second(t, pin.NewCard{PAN: number, Sequence: "02"}).ID}
	for _, sequence := range []string{"", "01", "02"} {
		c, err := w.Card(by(t), pin.Query{References: byPAN, Sequence: &sequence})
		require.NoError(t, err)
		require.Equal(t, ids["02"], c.Card.ID, "the only card is not held against it")
	}
	for _, sequence := range []string{"01", "03"} {
		ids[sequence] = w.second(t, pin.NewCard{PAN: number, Sequence: sequence}).ID
	}
	_, err := w.Card(by(t), pin.Query{References: byPAN})
	require.Equal(t, pin.Ambiguous, pin.CodeOf(err), "nothing chooses")
	for sequence, want := range map[string]pin.Code{"01": "", "02": "", "03": "", "04": pin.NotFound, "": pin.NotFound} {
		c, err := w.Card(by(t), pin.Query{References: byPAN, Sequence: &sequence})
		require.Equal(t, want, pin.CodeOf(err), sequence)
		if want == "" {
			require.Equal(t, ids[sequence], c.Card.ID)
		}
	}
	const renewed = "9999990000000055"
	first := w.second(t, pin.NewCard{PAN: renewed})
	w.second(t, pin.NewCard{PAN: renewed, Sequence: "02"})
	none := ""
	c, err := w.Card(by(t), pin.Query{References: []pin.Reference{ref(pin.KindPAN, renewed)}, Sequence: &none})
	require.NoError(t, err, "no sequence number is one to choose by")
	require.Equal(t, first.ID, c.Card.ID)
}

// A card that somebody moves on between look and swap is looked at again: whether it is still the one that was
// sought, still passes the check, still is usable where an alias led to it.
func TestWhatIsDecidedAgainIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	byAlias := []pin.Reference{ref(pin.KindAlias, "A")}
	for name, test := range map[string]struct {
		q     pin.Query
		rival func(c *pin.Card)
		want  pin.Code
	}{
		"a card that stays the one that was sought": {pin.Query{References: byAlias}, func(c *pin.Card) { c.EmbossName = "X" }, ""},
		"a card that loses its reference":           {pin.Query{References: byAlias}, func(c *pin.Card) { c.References = nil }, pin.NotFound},
		"a card that is no more usable":             {pin.Query{References: byAlias}, func(c *pin.Card) { c.Status = pin.StatusUpgrade }, pin.NotFound},
		"a card whose upgrade is done meanwhile":    {pin.Query{References: byAlias}, func(c *pin.Card) { c.Status, c.UpgradeStatus = pin.StatusUpgrade, 1 }, ""},
		"a card in an upgrade, by its URN":          {pin.Query{References: []pin.Reference{ref(pin.KindURN, "1")}}, func(c *pin.Card) { c.Status = pin.StatusUpgrade }, ""},
		"a card that is lost meanwhile":             {pin.Query{References: []pin.Reference{ref(pin.KindURN, "1")}}, func(c *pin.Card) { c.Status = pin.StatusLost }, pin.CardStatus},
		"a card whose check fails now": {pin.Query{References: byAlias, Check: func(r pin.Record) error {
			if r.Card.Expiry != "" {
				return &pin.Error{Code: pin.InvalidField, Field: "expiry"}
			}
			return nil
		}}, func(c *pin.Card) { c.Expiry = "2912" }, pin.InvalidField},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newMemoryWorld(t)
			w.tap.before = meanwhile("Swap", func() {
				_, err := w.sibling().UpdateCard(by(t), w.q, func(c *pin.Card) error { test.rival(c); return nil }, pin.Memo{})
				require.NoError(t, err)
			})
			v, err := w.Verify(by(t), test.q, plain(t, wrong), pin.Memo{})
			require.Equal(t, test.want, pin.CodeOf(err))
			w.tap.before = nil
			if err == nil {
				require.Equal(t, told(pin.Mismatch, 2), v)
				require.Equal(t, 2, w.remaining(t))
			} else {
				require.Equal(t, 3, w.remaining(t))
			}
			w.agree(t)
		})
	}
}

// A look-up that leads to a card which does not have the value is a forgery.
func TestAForgedLookupIsAnAlarm(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	other := w.second(t, pin.NewCard{References: []pin.Reference{ref(pin.KindURN, "2")}})
	db := w.store.(*memory)
	db.lookups[pin.Lookup{Kind: pin.KindURN, Value: "1", ProgramID: w.program.ID}] = other.ID
	_, err := w.Card(by(t), pin.Query{References: []pin.Reference{ref(pin.KindURN, "1")}})
	require.True(t, pin.Tampered(err), "without anybody to hear the alarm")
	_, err = w.Card(by(t), pin.Query{References: []pin.Reference{ref(pin.KindURN, "2")}})
	require.NoError(t, err)
}

func TestANewCardIsWhatItWasAskedToBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *pin.Program) { p.MinPINLength, p.MaxPINLength = 5, 9 })
	refs := []pin.Reference{ref(pin.KindURN, "9"), ref(pin.KindIdentifier, "z"), ref(pin.KindIdentifier, "a")}
	c, err := w.CreateCard(pin.WithCaller(by(t), pin.Caller{ProgramID: w.program.ID}), pin.NewCard{ID: "chosen", PAN: "9999990000000022",
		Expiry: "2912", Sequence: "01", Status: pin.StatusUpgrade, UpgradeStatus: 1, Attributes: pin.Attributes{EmbossName: "J"}, References: refs, PIN: of(t, "48261"), PINChosen: true}, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.KindURN, refs[0].Kind, "what was handed in is not sorted")
	require.NotEmpty(t, c.PANCiphertext)
	require.Len(t, c.PANIndex, 72)
	masked, err := w.MaskedPAN(c)
	require.NoError(t, err)
	require.Equal(t, "999999******0022", masked)
	stripped := c
	stripped.PANCiphertext, stripped.PANIndex = nil, ""
	require.Equal(t, pin.Card{ID: "chosen", ProgramID: w.program.ID, Status: pin.StatusUpgrade, UpgradeStatus: 1, Expiry: "2912", Sequence: "01",
		Attributes: pin.Attributes{EmbossName: "J"}, References: []pin.Reference{ref(pin.KindIdentifier, "a"), ref(pin.KindIdentifier, "z"), ref(pin.KindURN, "9")},
		Version: 1, CreatedAt: w.clock(), UpdatedAt: w.clock()}, stripped)
	require.Equal(t, "a", c.Reference(pin.KindIdentifier), "the first one")
	require.Equal(t, "9", c.Reference(pin.KindURN))
	require.Empty(t, c.Reference(pin.KindAlias))
	rec, err := w.Card(by(t), pin.Query{CardID: "chosen"})
	require.NoError(t, err)
	require.Equal(t, c, rec.Card)
	require.Equal(t, pin.PINChosen, rec.PIN.State)
	require.Equal(t, 3, rec.RemainingTries())

	bare := w.second(t, pin.NewCard{})
	require.Len(t, bare.ID, 36)
	require.Equal(t, pin.StatusNormal, bare.Status)
	require.Empty(t, bare.References)
	require.Empty(t, bare.PANIndex)
	masked, err = w.MaskedPAN(bare)
	require.NoError(t, err)
	require.Empty(t, masked)
	rec, err = w.Card(by(t), pin.Query{CardID: bare.ID})
	require.NoError(t, err)
	require.Equal(t, pin.PINAssigned, rec.PIN.State)
	drawn, err := w.RevealPIN(by(t), pin.Query{CardID: bare.ID})
	require.NoError(t, err)
	require.Equal(t, 5, drawn.Len(), "as short as the program allows")

	none := w.second(t, pin.NewCard{NoPIN: true, PIN: of(t, "48261")})
	rec, err = w.Card(by(t), pin.Query{CardID: none.ID})
	require.NoError(t, err)
	require.Equal(t, pin.PINNone, rec.PIN.State)
	require.Empty(t, rec.PIN.Verifier)
	_, err = w.Verify(by(t), pin.Query{CardID: none.ID}, plain(t, "48261"), pin.Memo{})
	require.Equal(t, pin.NoPIN, pin.CodeOf(err))
	_, err = w.ChangePIN(by(t), pin.Query{CardID: none.ID}, plain(t, "48261"), plain(t, "48262"), pin.Memo{})
	require.Equal(t, pin.NoPIN, pin.CodeOf(err))

	_, err = w.CreateCard(by(t), pin.NewCard{ProgramID: "nobody's"}, pin.Memo{})
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	_, err = w.CreateCard(by(t), pin.NewCard{}, pin.Memo{})
	require.Equal(t, pin.NotFound, pin.CodeOf(err), "a caller of the whole server names a program")
}

func TestTwoCardsOfAProgramCannotHaveOneReference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.second(t, pin.NewCard{ID: "first", PAN: "9999990000000022", Sequence: "01", References: []pin.Reference{ref(pin.KindURN, "2"), ref(pin.KindAlias, "B")}})
	w.second(t, pin.NewCard{PAN: "9999990000000055"})
	for name, test := range map[string]struct {
		n     pin.NewCard
		field string // "": it can be made
	}{
		"the same id":                      {pin.NewCard{ID: "first"}, "card"},
		"the same URN":                     {pin.NewCard{References: []pin.Reference{ref(pin.KindURN, "2")}}, "urn"},
		"the same alias":                   {pin.NewCard{References: []pin.Reference{ref(pin.KindAlias, "B")}}, ""},
		"the same PAN and sequence number": {pin.NewCard{PAN: "9999990000000022", Sequence: "01"}, "pan"},
		"the same PAN with another one":    {pin.NewCard{PAN: "9999990000000022", Sequence: "02"}, ""},
		"the same PAN without one":         {pin.NewCard{PAN: "9999990000000022"}, "pan"},
		"a renewal of a card without one":  {pin.NewCard{PAN: "9999990000000055", Sequence: "01"}, ""},
		"the same customer":                {pin.NewCard{Attributes: pin.Attributes{CustomerID: "c"}}, ""},
		"a given public token":             {pin.NewCard{References: []pin.Reference{ref(pin.KindPublicToken, "123456789")}}, ""},
		"another one of the same customer": {pin.NewCard{Attributes: pin.Attributes{CustomerID: "c"}}, ""},
	} {
		test.n.ProgramID = w.program.ID
		_, err := w.CreateCard(by(t), test.n, pin.Memo{})
		if test.field == "" {
			require.NoError(t, err, name)
			continue
		}
		require.Equal(t, pin.Duplicate, pin.CodeOf(err), name)
		require.Equal(t, test.field, pin.FieldOf(err), name)
	}
	other, err := w.CreateProgram(by(t), pin.NewProgram("other"), pin.Memo{})
	require.NoError(t, err)
	_, err = w.CreateCard(by(t), pin.NewCard{ProgramID: other.ID, PAN: "9999990000000022", Sequence: "01", References: []pin.Reference{ref(pin.KindURN, "2")}}, pin.Memo{})
	require.NoError(t, err, "in another program it can")
}

// digit is a source that draws public tokens of one digit until a read, and of the next digit from then on.
// Everything else that is drawn is from the system: tokens are drawn by 32 bytes.
func digit(d byte, until *int) *source {
	return &source{draw: func(read int, p []byte) {
		if len(p) != 32 {
			copy(p, bytes.Repeat([]byte{byte(read)}, len(p)))
			return
		}
		use := d
		if *until--; *until < 0 {
			use++
		}
		copy(p, bytes.Repeat([]byte{use}, len(p)))
	}}
}

func TestAPublicTokenIsDrawnUntilOneIsFree(t *testing.T) {
	w := newMemoryWorld(t)
	n := pin.NewCard{ProgramID: w.program.ID, PublicToken: true, NoPIN: true}
	create := func(d byte, until int) (c pin.Card, swaps int, err error) {
		draws := until
		w.tap.count, w.tap.calls = true, nil
		c, err = w.with(nil, digit(d, &draws)).CreateCard(by(t), n, pin.Memo{})
		for _, call := range w.tap.calls {
			if call == "Swap" {
				swaps++
			}
		}
		return c, swaps, err
	}
	c, swaps, err := create(3, 100)
	require.NoError(t, err)
	require.Equal(t, "333333333", c.Reference(pin.KindPublicToken))
	require.Equal(t, 1, swaps)

	_, swaps, err = create(3, 100)
	require.Equal(t, pin.Duplicate, pin.CodeOf(err))
	require.Equal(t, "publicToken", pin.FieldOf(err))
	require.Equal(t, 8, swaps, "as often as it is tried")

	c, swaps, err = create(3, 7)
	require.NoError(t, err, "the eighth is free")
	require.Equal(t, "444444444", c.Reference(pin.KindPublicToken))
	require.Equal(t, 8, swaps)

	n.References = []pin.Reference{ref(pin.KindURN, "1")}
	_, swaps, err = create(5, 100)
	require.Equal(t, pin.Duplicate, pin.CodeOf(err))
	require.Equal(t, 1, swaps, "another reference stays taken")

	n.PublicToken, n.References = false, []pin.Reference{ref(pin.KindPublicToken, "333333333")}
	_, swaps, err = create(3, 100)
	require.Equal(t, pin.Duplicate, pin.CodeOf(err))
	require.Equal(t, 1, swaps, "and a token that was given")
}

func TestARandomPINIsNotAWeakOne(t *testing.T) {
	w := newMemoryWorld(t)
	reads := 0
	random := &source{draw: func(read int, p []byte) {
		if len(p) != 32 {
			copy(p, bytes.Repeat([]byte{byte(read)}, len(p)))
			return
		}
		if reads++; reads < 4 {
			copy(p, make([]byte, len(p))) // 0000
			return
		}
		copy(p, []byte{4, 8, 2, 6, 1, 1})
	}}
	c, err := w.with(nil, random).CreateCard(by(t), pin.NewCard{ProgramID: w.program.ID}, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, 4, reads)
	v, err := w.Verify(by(t), pin.Query{CardID: c.ID}, plain(t, right), pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.Match, v.Result)
}

func TestAnUpdateMovesLookupsAndNothingThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.second(t, pin.NewCard{References: []pin.Reference{ref(pin.KindURN, "2")}})
	w.later(time.Hour)
	before := w.record(t)
	c, err := w.UpdateCard(by(t), w.q, func(c *pin.Card) error {
		require.Equal(t, before.Card, *c)
		*c = pin.Card{ID: "x", ProgramID: "x", PANIndex: "x", PANCiphertext: []byte("x"), Version: 17, Status: pin.StatusNormal, Expiry: "3001", Sequence: "02",
			Attributes: pin.Attributes{CustomerID: "new"}, References: []pin.Reference{ref(pin.KindURN, "7"), ref(pin.KindAlias, "A")}}
		return nil
	}, pin.Memo{Description: "moved"})
	require.NoError(t, err)
	require.Equal(t, pin.Card{ID: before.Card.ID, ProgramID: before.Card.ProgramID, PANIndex: before.Card.PANIndex, PANCiphertext: before.Card.PANCiphertext,
		Version: 2, CreatedAt: before.Card.CreatedAt, UpdatedAt: w.clock(), Status: pin.StatusNormal, Expiry: "3001", Sequence: "02",
		Attributes: pin.Attributes{CustomerID: "new"}, References: []pin.Reference{ref(pin.KindAlias, "A"), ref(pin.KindURN, "7")}}, c)
	after := w.record(t)
	require.Equal(t, c, after.Card)
	head := after.PIN.Head
	after.PIN.Head = before.PIN.Head
	require.Equal(t, before.PIN, after.PIN)
	require.Equal(t, before.PIN.Head.Seq+1, head.Seq)
	for name, test := range map[string]struct {
		q    pin.Query
		want bool
	}{
		"the new URN":      {pin.Query{References: []pin.Reference{ref(pin.KindURN, "7")}}, true},
		"the old URN":      {pin.Query{References: []pin.Reference{ref(pin.KindURN, "1")}}, false},
		"the alias":        {pin.Query{References: []pin.Reference{ref(pin.KindAlias, "A")}}, true},
		"the PAN":          {pin.Query{References: []pin.Reference{ref(pin.KindPAN, pan)}}, true},
		"the new customer": {pin.Query{Holder: pin.Holder{CustomerID: "new"}}, true},
	} {
		_, err := w.Card(by(t), test.q)
		require.Equal(t, test.want, err == nil, name)
	}
	wanted := c.Lookups()
	kept, err := w.store.LookupsOf(by(t), wanted)
	require.NoError(t, err)
	require.ElementsMatch(t, wanted, kept)
	old, err := w.store.LookupsOf(by(t), []pin.Lookup{{Kind: "panSequence", Value: c.PANIndex + "/", ProgramID: c.ProgramID}})
	require.NoError(t, err)
	require.Empty(t, old, "the PAN with its old sequence number")

	no := errors.New("no")
	_, err = w.UpdateCard(by(t), w.q, func(*pin.Card) error { return no }, pin.Memo{})
	require.ErrorIs(t, err, no)
	_, err = w.UpdateCard(by(t), w.q, func(c *pin.Card) error { c.References[1].Value = "2"; return nil }, pin.Memo{})
	require.Equal(t, pin.Duplicate, pin.CodeOf(err))
	require.Equal(t, "urn", pin.FieldOf(err))
	require.Equal(t, c, w.record(t).Card)
	_, err = w.UpdateCard(by(t), pin.Query{CardID: "nobody"}, func(*pin.Card) error { return nil }, pin.Memo{})
	require.Equal(t, pin.NotFound, pin.CodeOf(err))
	w.agree(t)
}

// A patch runs again on what somebody else has made of the card, so that neither update is lost.
func TestTwoUpdatesAtOnceAreBothMade(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	w.tap.before = meanwhile("Swap", func() {
		_, err := w.sibling().UpdateCard(by(t), w.q, func(c *pin.Card) error { c.Expiry = "2912"; return nil }, pin.Memo{})
		require.NoError(t, err)
	})
	c, err := w.UpdateCard(by(t), w.q, func(c *pin.Card) error { c.CustomerID = "c"; return nil }, pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, int64(3), c.Version)
	require.Equal(t, "2912", c.Expiry)
	require.Equal(t, c, w.record(t).Card)
}

func TestSortReferences(t *testing.T) {
	t.Parallel()
	refs := []pin.Reference{ref("b", "1"), ref("a", "2"), ref("a", "1"), ref("b", "0")}
	pin.SortReferences(refs)
	require.Equal(t, []pin.Reference{ref("a", "1"), ref("a", "2"), ref("b", "0"), ref("b", "1")}, refs)
}

func TestWhichCardsCount(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status           pin.Status
		upgrade          int
		operable, usable bool
	}{
		{pin.StatusNormal, 0, true, true}, {pin.StatusNormal, 1, true, true}, {pin.StatusUpgrade, 0, true, false}, {pin.StatusUpgrade, 1, true, true},
		{pin.StatusUpgrade, 2, true, false}, {pin.StatusLost, 1, false, false}, {pin.StatusInvalid, 1, false, false}, {pin.StatusStolen, 0, false, false},
		{pin.StatusRestricted, 1, false, false}, {pin.StatusClosed, 1, false, false}, {"", 1, false, false},
	} {
		c := pin.Card{Status: test.status, UpgradeStatus: test.upgrade}
		require.Equal(t, test.operable, c.Operable(), "%+v", test)
		require.Equal(t, test.usable, c.Usable(), "%+v", test)
	}
}
