package pin

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// NewCard describes a card to be made.
type NewCard struct {
	ID            string // "": a fresh UUIDv7
	ProgramID     string
	PAN           string // digits, or "" for a card without; without one, PIN blocks of formats 0, 3 and 4 cannot be opened
	Expiry        string // YYMM
	Sequence      string
	Status        Status // "": normal
	UpgradeStatus int
	Attributes
	References []Reference

	PublicToken bool              // draw a public token of nine digits
	PIN         PIN               // the zero PIN: one is drawn at random
	NoPIN       bool              // the card has none yet
	Brought     VerificationValue // in place of a PIN, unless it is zero
	PINChosen   bool              // the PIN counts as chosen by the cardholder
}

// tokenDraws bounds how often a public token is drawn until one is free. At ten million cards a
// program the first draw is taken in one of a hundred cases.
const tokenDraws = 8

// CreateCard makes a card with a PIN, random unless given: NotFound for the program, Duplicate with
// the kind of reference that is another card's. Cards of a program may share a PAN where their sequence
// numbers differ; only the first of them may have none.
func (v *Vault) CreateCard(ctx context.Context, n NewCard, m Memo) (Card, error) {
	if who := CallerFrom(ctx); n.ProgramID == "" {
		n.ProgramID = who.ProgramID
	}
	program, err := v.Program(ctx, n.ProgramID)
	if err != nil {
		return Card{}, err
	}
	for draw := 1; ; draw++ {
		c, err := v.createCard(ctx, program, n, m)
		taken := errors.Is(err, &Error{Code: Duplicate}) && FieldOf(err) == string(KindPublicToken)
		if again := taken && n.PublicToken || late(err); !again || draw == tokenDraws {
			return c, err
		}
	}
}

func (v *Vault) createCard(ctx context.Context, program Program, n NewCard, m Memo) (Card, error) {
	c, err := v.newCard(program, n)
	if err == nil && n.PAN != "" {
		err = v.free(ctx, c, n.PAN)
	}
	if err != nil {
		return Card{}, err
	}
	choice, err := v.firstPIN(c, program, n)
	if err != nil {
		return Card{}, err
	}
	state := PINAssigned
	if n.PINChosen {
		state = PINChosen
	}
	change, err := v.change(ctx, Record{Card: c, Program: program},
		deed{Step: Created(program, choice, state, c.CreatedAt), card: &c, result: c, add: c.Lookups()}, m)
	if err != nil {
		return Card{}, err
	}
	own, cancel := ownTime(ctx)
	defer cancel()
	return c, v.commit(own, change, false)
}

// free is Duplicate where another card of the program stands in the way of one's PAN and sequence number. One that comes
// after the first is a renewal, and has a number. That no two have one number the store holds, except while the key of
// the hashes is rotated, by which it knows them.
func (v *Vault) free(ctx context.Context, c Card, pan string) error {
	index, err := v.panIndex(pan)
	if err != nil || c.Sequence != "" && len(index) == 1 {
		return err
	}
	found, err := v.Find(ctx, Query{ProgramID: c.ProgramID, References: []Reference{{KindPAN, pan}}}, candidates)
	if err == nil && slices.ContainsFunc(found, func(other Record) bool {
		return other.Card.ID != c.ID && (c.Sequence == "" || other.Card.Sequence == c.Sequence)
	}) {
		err = &Error{Code: Duplicate, Field: string(KindPAN)}
	}
	return err
}

// firstPIN is the PIN of a new card at rest: the one that was given, a random one, none, or what stands in its place.
func (v *Vault) firstPIN(c Card, program Program, n NewCard) (Choice, error) {
	switch {
	case n.NoPIN:
		return Choice{}, nil
	case n.Brought != VerificationValue{}:
		b, err := v.bring(c, n.Brought)
		return Choice{Brought: b}, err
	}
	p := n.PIN
	if p.Len() == 0 {
		var err error
		if p, err = v.randomPIN(program); err != nil {
			return Choice{}, err
		}
		defer p.Clear()
	}
	return v.rest(c.ID, program, p)
}

// newCard fills in what the description leaves open, and protects the PAN.
func (v *Vault) newCard(program Program, n NewCard) (Card, error) {
	c, err := v.described(program, n)
	if err != nil {
		return Card{}, err
	}
	return c, v.protect(&c, n.PAN)
}

// protect gives a card its PAN, as it rests, if it has one.
func (v *Vault) protect(c *Card, pan string) (err error) {
	if pan != "" {
		c.PANCiphertext, err = v.keys.Seal(UsePAN, []byte(pan), c.panBound())
	}
	return err
}

// described is newCard, but that of a PAN there is only what the card is found by.
func (v *Vault) described(program Program, n NewCard) (Card, error) {
	now := v.clock()
	c := Card{ID: n.ID, ProgramID: program.ID, Status: n.Status, UpgradeStatus: n.UpgradeStatus, Expiry: n.Expiry,
		Sequence: n.Sequence, Attributes: n.Attributes, References: slices.Clone(n.References), Version: 1, CreatedAt: now, UpdatedAt: now}
	if c.ID == "" {
		id, err := uuid.NewV7FromReader(v.rand)
		if err != nil {
			return Card{}, &Error{Code: Internal, Err: err}
		}
		c.ID = id.String()
	}
	if c.Status == "" {
		c.Status = StatusNormal
	}
	if n.PublicToken {
		token, err := randomDigits(v.rand, 9)
		if err != nil {
			return Card{}, err
		}
		c.References = append(c.References, Reference{KindPublicToken, string(token)})
	}
	SortReferences(c.References)
	if n.PAN == "" {
		return c, nil
	}
	index, err := v.panIndex(n.PAN)
	if err != nil {
		return Card{}, err
	}
	c.PANIndex = index[0]
	return c, nil
}

// randomPIN draws PINs of the program's shortest length until its policy is content.
func (v *Vault) randomPIN(program Program) (PIN, error) {
	for {
		p, err := Random(v.rand, program.MinPINLength)
		if err != nil || program.Check(p) == nil {
			return p, err
		}
	}
}

// UpdateCard changes status, expiry, sequence, attributes and references of a card: what patch sets
// counts, id, program and PAN stay. NotFound, Duplicate, and what patch returns. patch may run several
// times.
func (v *Vault) UpdateCard(ctx context.Context, q Query, patch func(*Card) error, m Memo) (Card, error) {
	d, err := v.act(ctx, q, m, func(rec Record) (deed, error) {
		before, c := rec.Card, rec.Card
		c.References = slices.Clone(c.References)
		if err := patch(&c); err != nil {
			return deed{}, err
		}
		c.ID, c.ProgramID, c.PANCiphertext, c.PANIndex, c.CreatedAt = before.ID, before.ProgramID, before.PANCiphertext, before.PANIndex, before.CreatedAt
		c.Version, c.UpdatedAt = before.Version+1, v.clock()
		SortReferences(c.References)
		if err := v.resequenced(ctx, before, c); err != nil {
			return deed{}, err
		}
		old, fresh := before.Lookups(), c.Lookups()
		return deed{Step: rec.PIN.Updated(before, c), card: &c, result: c, add: without(fresh, old), drop: without(old, fresh)}, nil
	})
	if err != nil {
		return Card{}, err
	}
	return *d.card, nil
}

// resequenced is Duplicate where another card has a sequence number that a card is to have.
func (v *Vault) resequenced(ctx context.Context, before, c Card) error {
	if c.Sequence == before.Sequence || c.Sequence == "" || c.PANIndex == "" {
		return nil
	}
	pan, err := v.pan(c)
	if err != nil {
		return err
	}
	return v.free(ctx, c, pan)
}

// without are the look-ups of all that some does not have.
func without(all, some []Lookup) []Lookup {
	return slices.DeleteFunc(slices.Clone(all), func(l Lookup) bool { return slices.Contains(some, l) })
}

// SortReferences orders references by kind and value, the order in which they are shown and stored.
func SortReferences(refs []Reference) {
	slices.SortFunc(refs, func(a, b Reference) int {
		if d := strings.Compare(string(a.Kind), string(b.Kind)); d != 0 {
			return d
		}
		return strings.Compare(a.Value, b.Value)
	})
}
