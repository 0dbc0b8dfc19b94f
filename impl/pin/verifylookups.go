package pin

import (
	"context"
	"slices"
)

// Of look-ups: whether cards are found by what they should be, and by nothing else.

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
