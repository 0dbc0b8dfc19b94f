package pin

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"pinvault/impl/pinblock"
	"pinvault/impl/pinverification"
)

// Block is a PIN in a PIN block.
type Block struct {
	KeyID  string // of the zone PIN key
	Format pinblock.Format
	Bytes  []byte
}

// Arrival is a card that moves in: with its PIN in a block, with what Brought says in place of one, or without any.
type Arrival struct {
	NewCard        // whose PIN and NoPIN are left alone
	Block   *Block // nil: none
	Tries   *int   // left, the program's limit at the most; nil: all of them
}

// Fate is what became of an arrival.
type Fate struct {
	CardID string
	There  bool     // it had moved in before, as it is
	Err    error    // why it was turned away, nil where it has moved in
	Differ []string // of a Duplicate: in what the card that is there differs
}

// Import lets cards move in, each with its first event in a chain of its own, as [Vault.CreateCard] does one. Those that are there
// already, with the same content, are found by their id, their PAN and sequence number, or a reference that no other card can
// have, so that an import that broke off can be made again: what was changed here since, PIN and tries, stays as it is.
//
// What is wrong with one arrival is its fate and nobody else's: NotFound and Forbidden for its program, Ambiguous where nothing
// would tell it from others, Duplicate with the kind of reference, UnknownKey, UnfitBlock, Unopenable, PINLength, and
// InvalidField. PINs may be such that the program lets nobody choose. The error is for what keeps all of them out: Unavailable,
// of which some may have moved in, or Internal. With dry set nothing is written.
func (v *Vault) Import(ctx context.Context, all []Arrival, dry bool) ([]Fate, error) {
	fates := make([]Fate, len(all))
	rest := make([]*newcomer, len(all))
	for i := range all {
		rest[i] = &newcomer{Arrival: &all[i], fate: &fates[i]}
	}
	err := sideBySide(rest, func(n *newcomer) error { return n.turnedAway(v.announce(ctx, n)) })
	atOnce := len(all)
	for err == nil {
		var now []*newcomer
		if now, rest = apart(rest); len(now) == 0 {
			return fates, nil
		}
		now, rest = now[:min(atOnce, len(now))], slices.Concat(now[min(atOnce, len(now)):], rest)
		var again []*newcomer
		var slow bool
		if again, slow, err = v.admit(ctx, now, dry); slow {
			atOnce = fewer(now)
		}
		rest = append(again, rest...)
	}
	return nil, err
}

// fewer is how many are seen to at once after so many took so long, with slow keys, that their events came late.
func fewer[T any](all []T) int { return max(1, len(all)/2) }

// newcomer is an arrival on its way.
type newcomer struct {
	*Arrival
	program Program
	card    Card     // without its PAN's ciphertext
	names   []Lookup // by which it, or a card in its way, would be found
	change  Change
	fate    *Fate
	tried   int
}

// turnedAway notes why, and passes on what is no fault of the newcomer's.
func (n *newcomer) turnedAway(err error) error {
	if code := CodeOf(err); code == Unavailable || code == Internal {
		return err
	}
	n.fate.Err = err
	return nil
}

// sideBySide does something with each newcomer that was not turned away, as many at once as there are processors.
func sideBySide(all []*newcomer, do func(*newcomer) error) error {
	workers, next := runtime.GOMAXPROCS(0), atomic.Int64{}
	var group errgroup.Group
	for range workers {
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(all)); i = next.Add(1) - 1 {
				if n := all[i]; n.fate.Err == nil {
					if err := do(n); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// announce finds out what a newcomer is, as far as it takes no look at other cards.
func (v *Vault) announce(ctx context.Context, n *newcomer) error {
	var err error
	if n.program, err = v.Program(ctx, n.ProgramID); err != nil {
		return err
	}
	if n.Brought != (VerificationValue{}) {
		if length := max(n.Brought.Length, len(n.Brought.Offset)); length < n.program.MinPINLength || length > n.program.MaxPINLength {
			return &Error{Code: PINLength}
		}
		if err := v.sound(ctx, n.Brought, n.program.ID, n.PAN); err != nil {
			return err
		}
	}
	if n.card, err = v.described(n.program, n.NewCard); err != nil {
		return err
	}
	known := n.ID != ""
	for _, l := range n.card.Lookups() {
		if l.CardID = ""; !l.Kind.Shared() {
			n.names, known = append(n.names, l), true
		}
	}
	if n.PAN != "" {
		indexes, err := v.panIndex(n.PAN)
		if err != nil {
			return err
		}
		for i, index := range indexes {
			if i > 0 {
				n.names = append(n.names, Lookup{Kind: kindPANSequence, Value: index + "/" + n.Sequence, ProgramID: n.program.ID})
			}
			n.names = append(n.names, Lookup{Kind: KindPAN, Value: index, ProgramID: n.program.ID})
		}
	}
	if !known {
		return &Error{Code: Ambiguous}
	}
	return nil
}

// sound tells whether a verification value is one for a PAN, under a key that the program may use.
func (v *Vault) sound(ctx context.Context, value VerificationValue, programID, pan string) error {
	key, err := v.keys.VerificationKey(ctx, programID, value.KeyID)
	if err != nil {
		return err
	}
	some, err := New([]byte("0000"))
	if err != nil {
		return err
	}
	_, err = value.fits(key, pan, some)
	for broken, field := range map[error]string{
		pinverification.ErrPAN:            "pan",
		pinverification.ErrTable:          "pin.offset.decimalizationTable",
		pinverification.ErrValidationData: "pin.offset.validationDigits",
	} {
		if errors.Is(err, broken) {
			return &Error{Code: InvalidField, Field: field}
		}
	}
	return err
}

// apart are those of the newcomers who have nothing to do with each other, and the others, who come after them: what a card
// may be depends on those that came before. Who was turned away is in neither.
func apart(all []*newcomer) (now, later []*newcomer) {
	taken := map[Lookup]bool{}
	for _, n := range all {
		if n.fate.Err != nil {
			continue
		}
		names := n.names
		if n.ID != "" {
			names = append(slices.Clip(names), Lookup{CardID: n.ID})
		}
		if slices.ContainsFunc(names, func(l Lookup) bool { return taken[l] }) {
			later = append(later, n)
		} else {
			now = append(now, n)
		}
		for _, l := range names {
			taken[l] = true
		}
	}
	return now, later
}

// admit makes the cards of newcomers who have nothing to do with each other. Of those again somebody was faster, or it was slow.
func (v *Vault) admit(ctx context.Context, all []*newcomer, dry bool) (again []*newcomer, slow bool, err error) {
	there, err := v.around(ctx, all)
	if err != nil {
		return nil, false, err
	}
	if err := sideBySide(all, func(n *newcomer) error {
		known, err := v.recognized(ctx, n, there)
		if err == nil && !known {
			err = v.prepare(ctx, n)
		}
		return n.turnedAway(err)
	}); err != nil {
		return nil, false, err
	}
	fresh := slices.DeleteFunc(slices.Clone(all), func(n *newcomer) bool { return n.fate.Err != nil || n.fate.There })
	if dry || len(fresh) == 0 {
		return nil, false, nil
	}
	changes := make([]Change, len(fresh))
	for i, n := range fresh {
		changes[i] = n.change
	}
	errs, err := v.store.SwapAll(ctx, changes)
	if err != nil {
		return nil, false, err
	}
	for i, n := range fresh {
		if late(errs[i]) && len(fresh) > 1 {
			again, slow = append(again, n), true
			continue
		}
		switch n.tried++; {
		case errs[i] == nil:
			n.fate.CardID = n.card.ID
		case CodeOf(errs[i]) == Duplicate && FieldOf(errs[i]) == tableEvents: // its id is that of another chain
			n.fate.Err = &Error{Code: Duplicate, Field: "cardId"}
		case n.tried == admissions:
			n.fate.Err = &Error{Code: Conflict}
		default:
			again = append(again, n)
		}
	}
	return again, slow, nil
}

// admissions is how often a newcomer is let in whom somebody else was faster than.
const admissions = 3

// neighbours are the cards that are there: by their ids, and the ids by what finds them.
type neighbours struct {
	cards map[string]Record
	named map[Lookup][]string
}

// around finds the cards that newcomers might be, or that are in their way.
func (v *Vault) around(ctx context.Context, all []*newcomer) (neighbours, error) {
	there := neighbours{map[string]Record{}, map[Lookup][]string{}}
	var wanted []Lookup
	var ids []string
	for _, n := range all {
		wanted = append(wanted, n.names...)
		if n.ID != "" {
			ids = append(ids, n.ID)
		}
	}
	found, err := v.store.Holders(ctx, wanted)
	if err != nil {
		return there, err
	}
	for _, l := range found {
		name := Lookup{Kind: l.Kind, Value: l.Value, ProgramID: l.ProgramID}
		there.named[name] = append(there.named[name], l.CardID)
		ids = append(ids, l.CardID)
	}
	slices.Sort(ids)
	rows, err := v.store.CardsOf(ctx, slices.Compact(ids))
	if err != nil {
		return there, err
	}
	for _, row := range rows {
		if there.cards[row.ID], err = v.openCard(ctx, row); err != nil {
			return there, err
		}
	}
	for _, l := range found { // what leads to a card that does not have it is a forgery
		if rec, ok := there.cards[l.CardID]; ok && !slices.Contains(rec.Card.Lookups(), l) {
			return there, v.broken(ctx, tableLookups, l.CardID)
		}
	}
	return there, nil
}

// recognized tells whether a newcomer has moved in before: Duplicate where another card is in its way.
func (v *Vault) recognized(ctx context.Context, n *newcomer, there neighbours) (bool, error) {
	ids, kind := map[string]bool{}, Kind("cardId")
	if _, ok := there.cards[n.ID]; ok {
		ids[n.ID] = true
	}
	for _, l := range n.names {
		for _, id := range there.named[l] {
			if l.Kind != KindPAN && !ids[id] {
				ids[id], kind = true, l.Kind
			}
		}
		if l.Kind == KindPAN && n.Sequence == "" && len(there.named[l]) > 0 && len(ids) == 0 { // one that comes after the first has a sequence number
			return false, &Error{Code: Duplicate, Field: string(KindPAN)}
		}
	}
	if kind == kindPANSequence {
		kind = KindPAN
	}
	if len(ids) == 0 {
		return false, nil
	}
	for id := range ids {
		rec := there.cards[id]
		if len(ids) > 1 || n.ID != "" && n.ID != id || rec.Card.ProgramID != n.program.ID {
			break
		}
		differ, err := v.differ(ctx, n, rec)
		if err != nil {
			return false, err
		}
		if n.fate.Differ = differ; len(differ) == 0 {
			n.fate.CardID, n.fate.There = id, true
			return true, nil
		}
	}
	return false, &Error{Code: Duplicate, Field: string(kind)}
}

// differ is in what the card that is there is another one than the newcomer, by the names of the document. A PIN that was
// changed here since is what it should be.
func (v *Vault) differ(ctx context.Context, n *newcomer, rec Record) ([]string, error) {
	is, was := rec.Card, n.card
	is.ID, is.CreatedAt, is.UpdatedAt, is.Version = was.ID, was.CreatedAt, was.UpdatedAt, was.Version
	is.PANCiphertext, was.PANCiphertext = nil, nil // which differ each time
	if n.PAN != "" {
		indexes, err := v.panIndex(n.PAN)
		if err != nil {
			return nil, err
		}
		if slices.Contains(indexes, is.PANIndex) {
			is.PANIndex = was.PANIndex
		}
	}
	var names []string
	if !reflect.DeepEqual(was, is) {
		for _, c := range changes(was, is) {
			if c.Field == "panIndex" {
				c.Field = string(KindPAN)
			}
			names = append(names, c.Field)
		}
	}
	same, err := v.samePIN(ctx, n, rec)
	if err == nil && !same {
		names = append(names, "pin")
	}
	return names, err
}

// samePIN tells whether the card that is there has the newcomer's PIN, as far as anybody can tell.
func (v *Vault) samePIN(ctx context.Context, n *newcomer, rec Record) (bool, error) {
	is := rec.PIN
	switch {
	case is.Version > 1:
		return true, nil
	case n.Block == nil && n.Brought == VerificationValue{}:
		return is.State == PINNone, nil
	case is.State != n.state():
		return false, nil
	case n.Block == nil && is.Brought == nil: // it was shown since
		return true, nil
	case n.Block == nil:
		value, err := v.brought(rec.Card, is.Brought)
		return value == n.Brought, err
	}
	p, err := v.unpacked(ctx, n)
	if err != nil {
		return false, err
	}
	defer p.Clear()
	return v.matches(rec.Card.ID, p, is.Verifier)
}

// unpacked opens a newcomer's PIN block.
func (v *Vault) unpacked(ctx context.Context, n *newcomer) (PIN, error) {
	key, err := v.keys.ZoneKey(ctx, n.program.ID, n.Block.KeyID)
	if err != nil {
		return PIN{}, err
	}
	return key.OpenBlock(n.Block.Format, n.Block.Bytes, n.PAN)
}

// prepare makes a newcomer's card, its PIN and its first event as they will rest.
func (v *Vault) prepare(ctx context.Context, n *newcomer) error {
	one := n.NewCard
	one.NoPIN = n.Block == nil && n.Brought == VerificationValue{}
	if n.Block != nil {
		var err error
		if one.PIN, err = v.unpacked(ctx, n); err != nil {
			return err
		}
		defer one.PIN.Clear()
		if l := one.PIN.Len(); l < n.program.MinPINLength || l > n.program.MaxPINLength {
			return &Error{Code: PINLength}
		}
	}
	if err := v.protect(&n.card, n.PAN); err != nil {
		return err
	}
	choice, err := v.firstPIN(n.card, n.program, one)
	if err != nil {
		return err
	}
	step := Created(n.program, choice, n.state(), n.card.CreatedAt).Arrived(n.program, n.Tries)
	n.change, err = v.change(ctx, Record{Card: n.card, Program: n.program}, deed{Step: step, card: &n.card, add: n.card.Lookups()}, Memo{})
	return err
}

func (n *newcomer) state() PINState {
	if n.PINChosen {
		return PINChosen
	}
	return PINAssigned
}

// Arrived is the value of a new card whose tries are partly used up elsewhere.
func (s Step) Arrived(p Program, tries *int) Step {
	if tries != nil && *tries < p.TryLimit {
		s.Next.TriesLeft = *tries
		s.Happenings = slices.Clone(s.Happenings)
		s.Happenings[0].Changes = []FieldChange{{Field: "remainingTries", New: strconv.Itoa(*tries)}}
	}
	return s
}
