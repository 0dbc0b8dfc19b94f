package pin

import (
	"context"

	"pinvault/impl/pinblock"
)

// Offer is a PIN that somebody claims to know or has chosen, in clear or in a block. Unopenable is the
// one error for a block that does not open; any other error ends the operation, and no try is taken.
type Offer func(ctx context.Context, v *Vault, rec Record) (PIN, error)

// Plain offers a PIN in clear, as hosted pages do.
func Plain(p PIN) Offer {
	return func(context.Context, *Vault, Record) (PIN, error) { return New(p.Digits()) }
}

// Encrypted offers a PIN block under a zone PIN key: UnknownKey and UnfitBlock, which take no try, and
// Unopenable, which does.
func Encrypted(keyID string, format pinblock.Format, block []byte) Offer {
	return func(ctx context.Context, v *Vault, rec Record) (PIN, error) {
		key, err := v.keys.ZoneKey(ctx, rec.Program.ID, keyID)
		if err != nil {
			return PIN{}, err
		}
		pan, err := v.pan(rec.Card)
		if err != nil {
			return PIN{}, err
		}
		return key.OpenBlock(format, block, pan)
	}
}

// Watch is shown every PIN that is offered to a card that takes one, opened, whether as the card's or as one that was
// chosen, and may refuse it: the card's with WrongPIN, a chosen one as a policy does, either with what ends the operation,
// and no try is taken. It must not keep the PIN.
type Watch func(ctx context.Context, p PIN, chosen bool) error

// OnOffer has offered PINs watched. Only sandboxes do, whose PINs are public.
func (v *Vault) OnOffer(w Watch) { v.watch = w }

// watched is an offer whose PIN is shown to whoever watches.
func (v *Vault) watched(o Offer, chosen bool) Offer {
	if v.watch == nil {
		return o
	}
	return func(ctx context.Context, v *Vault, rec Record) (PIN, error) {
		p, err := o(ctx, v, rec)
		if err == nil {
			if err = v.watch(ctx, p, chosen); err != nil {
				p.Clear()
			}
		}
		return p, err
	}
}

// guess holds an offered PIN against the record's. One that cannot be read is held against it as well, so that it takes the
// same steps. own is its form at rest where the card brought something along in place of a verifier, see [Value.Learned].
func (v *Vault) guess(ctx context.Context, rec Record, o Offer) (g Guess, own Choice, err error) {
	p, err := o(ctx, v, rec)
	offered := CodeOf(err)
	switch offered {
	case "":
		defer p.Clear()
	case WrongPIN, Unopenable, InvalidPIN:
		p = nobodys
	default:
		return "", own, err
	}
	right, own, err := v.compare(ctx, rec, p)
	switch {
	case err != nil:
		return "", own, err
	case offered == Unopenable || offered == InvalidPIN:
		return Unreadable, own, nil
	case offered == "" && right:
		return Right, own, nil
	}
	return Wrong, own, nil
}

// nobodys takes the place of a PIN that cannot be read, and must not be cleared.
var nobodys = PIN{&held{n: MinLength, digits: [MaxLength]byte{'0', '0', '0', '0'}}}

// compare holds a PIN against the record's, or against what the card brought along in place of one.
func (v *Vault) compare(ctx context.Context, rec Record, p PIN) (right bool, own Choice, err error) {
	if rec.PIN.Brought != nil {
		return v.shown(ctx, rec, p)
	}
	right, err = v.matches(rec.Card.ID, p, rec.PIN.Verifier)
	return right, own, err
}

// choice makes a chosen PIN's form at rest, or says why it is refused. The error is for what is wrong
// with us, for an unknown key, and TooMany where too many were refused.
func (v *Vault) choice(ctx context.Context, rec Record, o Offer) (Choice, error) {
	if err := v.mayChoose(ctx); err != nil {
		return Choice{}, err
	}
	c, err := v.chosen(ctx, rec, o)
	if err == nil {
		err = v.declinedFor(ctx, c.Refusal)
	}
	return c, err
}

func (v *Vault) chosen(ctx context.Context, rec Record, o Offer) (Choice, error) {
	p, err := o(ctx, v, rec)
	switch code := CodeOf(err); code {
	case "":
	case Unopenable, InvalidPIN, PINLength, WeakPIN, RecentPIN:
		return Choice{Refusal: code}, nil
	default:
		return Choice{}, err
	}
	defer p.Clear()
	if err := rec.Program.Check(p); err != nil {
		return Choice{Refusal: CodeOf(err)}, nil
	}
	if rec.Program.Policy == PolicyHistory {
		if recent, err := v.remembered(ctx, rec, p); err != nil || recent {
			return Choice{Refusal: RecentPIN}, err
		}
	}
	return v.rest(rec.Card.ID, rec.Program, p)
}

// remembered tells whether the PIN is the card's or one of its last ones. All are compared, whichever
// it is.
func (v *Vault) remembered(ctx context.Context, rec Record, p PIN) (bool, error) {
	found := false
	if rec.PIN.Brought != nil { // without its key nobody can tell, which is no reason to refuse a PIN
		found, _ = v.fitsBrought(ctx, rec.Card, rec.PIN.Brought, p)
	}
	for _, verifier := range append([][]byte{rec.PIN.Verifier}, rec.PIN.Former...) {
		same, err := v.matches(rec.Card.ID, p, verifier)
		if err != nil && !v.lost(UseVerifier, verifier, err) { // as above
			return false, err
		}
		found = same || found
	}
	return found, nil
}

// lost tells whether something does not open because its key is not there any more.
func (v *Vault) lost(use Use, output []byte, err error) bool {
	_, there := v.keys.KeyID(use, output)
	return CodeOf(err) == Internal && !there
}

// rest makes the PIN's form at rest: a verifier bound to the card and, only where the program allows
// retrieval, a ciphertext bound to program and card.
func (v *Vault) rest(cardID string, pr Program, p PIN) (out Choice, err error) {
	if out.Verifier, err = v.verifier(cardID, p); err == nil && pr.RetrievalAllowed {
		out.Ciphertext, err = v.keys.Seal(UsePIN, p.Digits(), pinBound(pr.ID, cardID))
	}
	return out, err
}

// pinBound is what a card's PIN that may be read back is bound to.
func pinBound(programID, cardID string) []byte { return frame(programID, cardID) }

// pan opens the card's PAN, "" for a card without.
func (v *Vault) pan(c Card) (string, error) {
	if len(c.PANCiphertext) == 0 {
		return "", nil
	}
	pan, err := v.keys.Open(UsePAN, c.PANCiphertext, c.panBound())
	return string(pan), err
}

// panBound is what a card's PAN is bound to.
func (c Card) panBound() []byte { return frame(c.ProgramID, c.ID) }

// MaskedPAN is the card's PAN as it may be shown, see [MaskPAN].
func (v *Vault) MaskedPAN(c Card) (string, error) {
	pan, err := v.pan(c)
	return MaskPAN(pan), err
}

// operable is CardStatus where the card's status allows no PIN operation.
func (r Record) operable() error {
	if !r.Card.Operable() {
		return &Error{Code: CardStatus}
	}
	return nil
}

// SetPIN gives the card a chosen PIN and leaves the try counter as it is: NotFound, Ambiguous,
// CardStatus, UnknownKey, Unopenable, PINLength, WeakPIN, RecentPIN. There is no guess in it, so no try is
// taken.
func (v *Vault) SetPIN(ctx context.Context, q Query, o Offer, m Memo) error {
	return v.replace(ctx, q, o, m, func(rec Record, c Choice) Step { return rec.PIN.Set(rec.Program, c, v.clock()) })
}

// ResetPIN gives the card a chosen PIN in place of a forgotten one and puts the try counter back to
// its limit: errors as SetPIN.
func (v *Vault) ResetPIN(ctx context.Context, q Query, o Offer, m Memo) error {
	return v.replace(ctx, q, o, m, func(rec Record, c Choice) Step { return rec.PIN.Reset(rec.Program, c, v.clock()) })
}

func (v *Vault) replace(ctx context.Context, q Query, o Offer, m Memo, step func(Record, Choice) Step) error {
	_, err := v.act(ctx, q, m, func(rec Record) (deed, error) {
		if err := rec.operable(); err != nil {
			return deed{}, err
		}
		c, err := v.choice(ctx, rec, v.watched(o, true))
		d := deed{Step: step(rec, c)}
		return d, err
	})
	return err
}

// RevealPIN reads the PIN back: NotFound, CardStatus, NoPIN, RetrievalOff, ApprovalNeeded. That it was read is in the
// audit trail before it leaves. The caller clears the PIN.
func (v *Vault) RevealPIN(ctx context.Context, q Query) (PIN, error) {
	var p PIN
	_, err := v.act(ctx, q, Memo{}, func(rec Record) (deed, error) {
		p.Clear() // of a decision that somebody else's change has undone
		if err := rec.operable(); err != nil {
			return deed{}, err
		}
		d := deed{Step: rec.PIN.Reveal(rec.Program)}
		if d.Refusal != "" {
			return d, nil
		}
		err := v.approved(ctx, rec, ApproveReveal, &d)
		if err == nil {
			p, err = v.kept(rec)
		}
		return d, err
	})
	if err != nil {
		p.Clear()
		return PIN{}, v.unapproved(ctx, ApproveReveal, err)
	}
	return p, nil
}

// Unblock puts the try counter back to its limit, however many are left: NotFound, Ambiguous,
// CardStatus, ApprovalNeeded, TooMany.
func (v *Vault) Unblock(ctx context.Context, q Query, m Memo) error {
	limit, err := v.unblocks(ctx)
	if err != nil {
		return err
	}
	d, err := v.act(ctx, q, m, func(rec Record) (deed, error) {
		if err := rec.operable(); err != nil {
			return deed{}, err
		}
		d := deed{Step: rec.PIN.Unblock(rec.Program, limit, v.clock())}
		if d.Refusal != "" { // it uses no approval up
			return d, nil
		}
		return d, v.approved(ctx, rec, ApproveUnblock, &d)
	})
	if d.Refusal == TooMany {
		return v.tooMany(ctx, LimitUnblocks, d.Wait)
	}
	return v.unapproved(ctx, ApproveUnblock, err)
}

// Verify compares an offered PIN with the card's: NotFound, Ambiguous, CardStatus, NoPIN, UnknownKey, TooMany, Halted.
func (v *Vault) Verify(ctx context.Context, q Query, o Offer, m Memo) (Verification, error) {
	return v.attempt(ctx, q, m, []Offer{o}, func(rec Record, g Guess) (Step, error) {
		return rec.PIN.Verify(rec.Program, g), nil
	})
}

// ChangePIN replaces the old PIN, which must be right, by a new one, as one step: errors as Verify. A
// new PIN that cannot be opened or is refused by policy changes nothing.
func (v *Vault) ChangePIN(ctx context.Context, q Query, old, chosen Offer, m Memo) (Verification, error) {
	return v.attempt(ctx, q, m, []Offer{old, chosen}, func(rec Record, g Guess) (Step, error) {
		c, err := v.choice(ctx, rec, v.watched(chosen, true))
		return rec.PIN.Change(rec.Program, g, c, v.clock()), err
	})
}

// attempt decides with a guess at the PIN, which is the first of the offers.
func (v *Vault) attempt(ctx context.Context, q Query, m Memo, offers []Offer, step func(Record, Guess) (Step, error)) (Verification, error) {
	if err := v.admitVerification(ctx); err != nil {
		return Verification{}, err
	}
	var found Record
	check, guessed := q.check, false
	q.Check = func(rec Record) error {
		found = rec
		return check(rec)
	}
	d, err := v.act(ctx, q, m, func(rec Record) (deed, error) {
		if err := rec.operable(); err != nil {
			return deed{}, err
		}
		if rec.PIN.State == PINNone {
			return deed{}, &Error{Code: NoPIN}
		}
		guessed = true
		g, own, err := v.guess(ctx, rec, v.watched(offers[0], false))
		if err != nil {
			return deed{}, err
		}
		rec.PIN = rec.PIN.Learned(rec.Program, g, own)
		s, err := step(rec, g)
		return deed{Step: s, result: s.Verification}, err
	})
	if err != nil {
		if !guessed && !Repeated(err) {
			v.pretend(ctx, found, offers)
		}
		return Verification{}, err
	}
	v.verified(ctx, found, d.Result)
	return d.Verification, nil
}

// pretend does with the offers what would have been done if the card took PINs, or were there at all, so
// that the time of an answer does not tell. See [Vault.Remember] for what would have been written.
func (v *Vault) pretend(ctx context.Context, rec Record, offers []Offer) {
	if rec.Card.ID == "" {
		rec = v.nobody(ctx)
	}
	_, _, _ = v.guess(ctx, rec, offers[0])
	for _, o := range offers[1:] {
		_, _ = v.choice(ctx, rec, o)
	}
	_, _ = v.change(ctx, rec, deed{Step: rec.PIN.Noted(Happening{Type: EventPINFailed})}, Memo{})
}

// nobody is a card that is not there, read as one that is.
func (v *Vault) nobody(ctx context.Context) Record {
	var rec Record
	row, err := v.nobodys.get(func(row CardRow) bool {
		var err error
		if rec, err = openCard(v.keys, row); err != nil || v.stale(row, rec) {
			rec = Record{}
		}
		return rec.Card.ID != ""
	}, v.sealNobody)
	if err != nil {
		return Record{}
	}
	if rec.Card.ID == "" {
		rec, _ = openCard(v.keys, row)
	}
	rec.Program = Program{ID: CallerFrom(ctx).ProgramID, MinPINLength: MinLength, MaxPINLength: MaxLength}
	return rec
}

// nobodyID is the id of a card that is not there.
const nobodyID = "00000000-0000-0000-0000-000000000000"

// sealNobody makes a card of about a card's size, which is never written.
func (v *Vault) sealNobody() (CardRow, error) {
	const id, text = nobodyID, "0000000000000000"
	c := Card{ID: id, ProgramID: id, Status: StatusNormal, Attributes: Attributes{CustomerReference: text, EmbossName: text, CustomerID: text,
		MobileNumber: text, EmailAddress: text, CardProfileID: text, ProgramCode: text, CardholderID: text, WalletID: text}}
	for _, kind := range []Kind{KindPublicToken, KindURN, KindIdentifier, KindPackID, KindNumber, KindAlias, KindEXID, KindContractNumber} {
		c.References = append(c.References, Reference{Kind: kind, Value: text})
	}
	rec := Record{Card: c, PIN: Value{State: PINChosen}}
	var err error
	if rec.Card.PANCiphertext, err = v.keys.Seal(UsePAN, []byte(text), c.panBound()); err != nil {
		return CardRow{}, err
	}
	if rec.PIN.Verifier, err = v.verifier(id, PIN{}); err != nil {
		return CardRow{}, err
	}
	return v.sealCard(rec, true)
}
