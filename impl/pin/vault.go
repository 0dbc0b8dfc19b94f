package pin

import (
	"context"
	"crypto/rand"
	"io"
	"time"

	"pinvault/impl/pinblock"
)

// Vault acts on cards and their PINs. It is safe for concurrent use, by several processes on one
// store too: what must not happen twice is decided by the store.
//
// Every operation reads the [Caller] from its context, reaches only cards of the caller's program
// and leaves an audit event in the transaction of its change.
type Vault struct {
	store Store
	keys  Keys
	now   func() time.Time
	rand  io.Reader
}

// NewVault makes a vault over a store and keys. now and random default to the clock and to the
// system's random source.
func NewVault(store Store, keys Keys, now func() time.Time, random io.Reader) *Vault {
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	return &Vault{store: store, keys: keys, now: now, rand: random}
}

// clock is the time in UTC, as exact as every database keeps it.
func (v *Vault) clock() time.Time { return v.now().UTC().Truncate(time.Microsecond) }

// Result is how an offered PIN fared.
type Result string

// The results. Only Match and Rejected were preceded by a right PIN.
const (
	Match     Result = "match"
	Mismatch  Result = "mismatch"
	Exhausted Result = "blocked"    // no tries were left; the offered PIN was not looked at
	Opaque    Result = "unopenable" // the PIN block could not be opened; a try was taken
	Rejected  Result = "rejected"   // the old PIN was right, the new one is refused: see Reason
	Overtaken Result = "conflict"   // the old PIN was right, but another change came first
)

// Verification is what comes of an offered PIN.
type Verification struct {
	Result         Result `json:"result"`
	RemainingTries int    `json:"remainingTries"` // 0..limit
	Reason         Code   `json:"reason,omitempty"`
}

// Offer is a PIN that somebody claims to know, in clear or in a block that is opened only when a try
// has been taken for it.
type Offer func(ctx context.Context, v *Vault, rec Record) (open func() (PIN, error), err error)

// Clear offers a PIN in clear, as hosted pages do.
func Clear(p PIN) Offer {
	return func(context.Context, *Vault, Record) (func() (PIN, error), error) {
		return func() (PIN, error) { return p, nil }, nil
	}
}

// Encrypted offers a PIN block under a zone PIN key. An unknown key is UnknownKey and takes no try;
// a block that does not open under a known one takes a try.
func Encrypted(keyID string, format pinblock.Format, block []byte) Offer {
	return func(ctx context.Context, v *Vault, rec Record) (func() (PIN, error), error) {
		key, err := v.keys.ZoneKey(ctx, rec.Program.ID, keyID)
		if err != nil {
			return nil, err
		}
		pan, err := v.pan(rec.Card)
		if err != nil {
			return nil, err
		}
		return func() (PIN, error) { return key.OpenBlock(format, block, pan) }, nil
	}
}

// Find lists cards in the caller's reach, at most limit of them, in the order of their ids.
func (v *Vault) Find(ctx context.Context, q Query, limit int) ([]Record, error) {
	who := CallerFrom(ctx)
	if q.ProgramID == "" {
		q.ProgramID = who.ProgramID
	}
	if !who.Reaches(q.ProgramID) {
		return nil, nil
	}
	s := Search{ProgramID: q.ProgramID, CardID: q.CardID, ProgramCode: q.ProgramCode, DevicePlanCode: q.DevicePlanCode, Holder: q.Holder, Limit: limit}
	for _, r := range q.References {
		values := []string{r.Value}
		if r.Kind == KindPAN {
			var err error
			if values, err = v.keys.Index(UsePANIndex, frame(r.Value)); err != nil {
				return nil, err
			}
		}
		s.Criteria = append(s.Criteria, Criterion{Kind: r.Kind, Values: values})
	}
	return v.store.Find(ctx, s)
}

// aliasCandidates bounds how many cards may share an alias before the search gives up as Ambiguous.
const aliasCandidates = 100

// Card finds the one card that q describes: NotFound, Ambiguous. Where q names an alias, only usable
// cards count (see [Card.Usable]).
func (v *Vault) Card(ctx context.Context, q Query) (Record, error) {
	byAlias := false
	for _, r := range q.References {
		byAlias = byAlias || r.Kind == KindAlias
	}
	limit := 2
	if byAlias {
		limit = aliasCandidates
	}
	found, err := v.Find(ctx, q, limit)
	if err != nil {
		return Record{}, err
	}
	if byAlias {
		usable := found[:0]
		for _, r := range found {
			if r.Card.Usable() {
				usable = append(usable, r)
			}
		}
		found = usable
	}
	switch len(found) {
	case 0:
		return Record{}, &Error{Code: NotFound}
	case 1:
		return found[0], nil
	}
	return Record{}, &Error{Code: Ambiguous}
}

// operable is Card for operations that the card's status must allow: CardStatus besides.
func (v *Vault) operable(ctx context.Context, q Query) (Record, error) {
	rec, err := v.Card(ctx, q)
	if err == nil && !rec.Card.Operable() {
		err = &Error{Code: CardStatus}
	}
	return rec, err
}

// SetPIN gives the card a chosen PIN and leaves the try counter as it is: NotFound, Ambiguous,
// CardStatus, PINLength, WeakPIN, RecentPIN, Conflict.
func (v *Vault) SetPIN(ctx context.Context, q Query, p PIN, m Memo) error {
	return v.setPIN(ctx, q, func(Record) (PIN, error) { return p, nil }, m)
}

// SetPINBlock is SetPIN with the PIN in a block: UnknownKey and Unopenable besides. There is no guess
// in it, so no try is taken.
func (v *Vault) SetPINBlock(ctx context.Context, q Query, o Offer, m Memo) error {
	return v.setPIN(ctx, q, func(rec Record) (PIN, error) {
		open, err := o(ctx, v, rec)
		if err != nil {
			return PIN{}, err
		}
		return open()
	}, m)
}

func (v *Vault) setPIN(ctx context.Context, q Query, get func(Record) (PIN, error), m Memo) error {
	rec, err := v.operable(ctx, q)
	if err != nil {
		return err
	}
	p, err := get(rec)
	if err != nil {
		return err
	}
	defer p.Clear()
	if err := rec.Program.check(p); err != nil {
		return err
	}
	fresh, err := v.seal(rec.Card, rec.Program, p, PINChosen)
	if err != nil {
		return err
	}
	return v.store.InTx(ctx, func(tx Tx) error {
		if err := m.reserve(tx); err != nil {
			return err
		}
		from, err := v.checkHistory(tx, rec, rec.PIN.Verifier, rec.PIN.Version, p)
		if err != nil {
			return err
		}
		if err := tx.ReplacePIN(rec.Card.ID, from, fresh); err != nil {
			return err
		}
		if err := v.audit(ctx, tx, cardEvent(EventPINSet, rec.Card), m); err != nil {
			return err
		}
		return m.complete(tx, nil)
	})
}

// checkHistory refuses a PIN that the program's history policy remembers. It returns the PIN version
// that must still stand when the new one is written: the one compared with, or 0 for any.
func (v *Vault) checkHistory(tx Tx, rec Record, current []byte, version int64, p PIN) (int64, error) {
	if rec.Program.Policy != PolicyHistory {
		return 0, nil
	}
	former, err := tx.PINHistory(rec.Card.ID, HistoryDepth)
	if err != nil {
		return 0, err
	}
	for _, verifier := range append(former, current) {
		if v.matches(rec.Card.ID, p, verifier) {
			return 0, &Error{Code: RecentPIN}
		}
	}
	return version, nil
}

// RevealPIN reads the PIN back: NotFound, CardStatus, NoPIN, RetrievalOff. That it was read is in the
// audit trail before it leaves. The caller clears the PIN.
func (v *Vault) RevealPIN(ctx context.Context, q Query) (PIN, error) {
	rec, err := v.operable(ctx, q)
	switch {
	case err != nil:
		return PIN{}, err
	case !rec.Program.RetrievalAllowed:
		return PIN{}, &Error{Code: RetrievalOff}
	case rec.PIN.State == PINNone:
		return PIN{}, &Error{Code: NoPIN}
	case len(rec.PIN.Ciphertext) == 0: // written while retrieval was off
		return PIN{}, &Error{Code: RetrievalOff}
	}
	digits, err := v.keys.Open(UsePIN, rec.PIN.Ciphertext, frame(rec.Program.ID, rec.Card.ID))
	if err != nil {
		return PIN{}, err
	}
	defer clear(digits)
	p, err := New(digits)
	if err != nil {
		return PIN{}, &Error{Code: Internal, Err: err}
	}
	return p, v.store.InTx(ctx, func(tx Tx) error {
		return v.audit(ctx, tx, cardEvent(EventPINRevealed, rec.Card), Memo{})
	})
}

// Unblock puts the try counter back to its limit, however many are left: NotFound, Ambiguous,
// CardStatus.
func (v *Vault) Unblock(ctx context.Context, q Query, m Memo) error {
	rec, err := v.operable(ctx, q)
	if err != nil {
		return err
	}
	return v.unblock(ctx, rec, m)
}

func (v *Vault) unblock(ctx context.Context, rec Record, m Memo) error {
	return v.store.InTx(ctx, func(tx Tx) error {
		if err := m.reserve(tx); err != nil {
			return err
		}
		if err := tx.ResetTries(rec.Card.ID, rec.Program.TryLimit); err != nil {
			return err
		}
		if err := v.audit(ctx, tx, cardEvent(EventPINUnblocked, rec.Card), m); err != nil {
			return err
		}
		return m.complete(tx, nil)
	})
}

// Verify compares an offered PIN with the card's: NotFound, Ambiguous, CardStatus, NoPIN, UnknownKey.
// It takes a try first, in a transaction of its own, and gives it back when the PIN is right; a crash
// in between costs the try.
func (v *Vault) Verify(ctx context.Context, q Query, o Offer, m Memo) (Verification, error) {
	a, err := v.attempt(ctx, q, o, m)
	if err != nil {
		return Verification{}, err
	}
	return v.settle(ctx, a, EventPINVerified, m)
}

// ChangePIN replaces the old PIN, which must be right, by a new one, as one step: errors as Verify. A
// new PIN that cannot be opened or is refused by policy changes nothing, and of two changes at once
// one is Overtaken.
func (v *Vault) ChangePIN(ctx context.Context, q Query, old, chosen Offer, m Memo) (Verification, error) {
	var openNew func() (PIN, error)
	both := func(ctx context.Context, v *Vault, rec Record) (open func() (PIN, error), err error) {
		if openNew, err = chosen(ctx, v, rec); err != nil {
			return nil, err
		}
		return old(ctx, v, rec)
	}
	a, err := v.attempt(ctx, q, both, m)
	if err != nil {
		return Verification{}, err
	}
	if a.result != Match {
		return v.settle(ctx, a, "", m)
	}
	done, err := v.change(ctx, a, openNew, m)
	switch CodeOf(err) {
	case Conflict:
		a.result = Overtaken
	case Unopenable:
		a.result = Opaque
	case PINLength, WeakPIN, RecentPIN, InvalidPIN:
		a.result, a.reason = Rejected, CodeOf(err)
	default:
		return done, err
	}
	return v.settle(ctx, a, EventPINVerified, m)
}

// change writes the new PIN over the one that the attempt was compared with.
func (v *Vault) change(ctx context.Context, a attempt, openNew func() (PIN, error), m Memo) (Verification, error) {
	p, err := openNew()
	if err != nil {
		return Verification{}, err
	}
	defer p.Clear()
	if err := a.rec.Program.check(p); err != nil {
		return Verification{}, err
	}
	fresh, err := v.seal(a.rec.Card, a.rec.Program, p, PINChosen)
	if err != nil {
		return Verification{}, err
	}
	done := Verification{Result: Match}
	err = v.store.InTx(ctx, func(tx Tx) error {
		if _, err := v.checkHistory(tx, a.rec, a.taken.Verifier, a.taken.Version, p); err != nil {
			return err
		}
		if err := tx.ReplacePIN(a.rec.Card.ID, a.taken.Version, fresh); err != nil {
			return err
		}
		if done.RemainingTries, err = tx.GiveBack(a.rec.Card.ID, a.taken.TakeNumber, a.rec.Program.TryLimit); err != nil {
			return err
		}
		if err := v.audit(ctx, tx, cardEvent(EventPINChanged, a.rec.Card), m); err != nil {
			return err
		}
		return m.complete(tx, done)
	})
	return done, err
}

// attempt is an offered PIN for which a try was taken, or could not be.
type attempt struct {
	rec    Record
	taken  Taken
	result Result
	right  bool // the offered PIN matched
	reason Code
}

// attempt takes a try and compares.
func (v *Vault) attempt(ctx context.Context, q Query, o Offer, m Memo) (attempt, error) {
	rec, err := v.operable(ctx, q)
	if err != nil {
		return attempt{}, err
	}
	if rec.PIN.State == PINNone {
		return attempt{}, &Error{Code: NoPIN}
	}
	open, err := o(ctx, v, rec)
	if err != nil {
		return attempt{}, err
	}
	a := attempt{rec: rec}
	taken, admitted, err := v.take(ctx, rec, m)
	if err != nil {
		return attempt{}, err
	}
	if a.taken = taken; !admitted {
		a.result = Exhausted
		return a, nil
	}
	a.result, a.right = v.compare(rec.Card.ID, open, taken.Verifier)
	return a, nil
}

// take commits the loss of a try before anything is compared.
func (v *Vault) take(ctx context.Context, rec Record, m Memo) (taken Taken, admitted bool, err error) {
	if m.Reserve == nil {
		return v.store.TakeTry(ctx, rec.Card.ID, rec.Program.TryLimit)
	}
	err = v.store.InTx(ctx, func(tx Tx) error {
		if err := m.Reserve(tx); err != nil {
			return err
		}
		taken, admitted, err = tx.TakeTry(rec.Card.ID, rec.Program.TryLimit)
		return err
	})
	return taken, admitted, err
}

// compare opens the offered PIN and holds it against the verifier.
func (v *Vault) compare(cardID string, open func() (PIN, error), verifier []byte) (Result, bool) {
	p, err := open()
	if err != nil {
		return Opaque, false
	}
	defer p.Clear()
	if v.matches(cardID, p, verifier) {
		return Match, true
	}
	return Mismatch, false
}

// settle writes how an attempt ended: tries given back where the PIN was right, and the audit events.
func (v *Vault) settle(ctx context.Context, a attempt, success EventType, m Memo) (Verification, error) {
	done := Verification{Result: a.result, RemainingTries: a.taken.TriesLeft, Reason: a.reason}
	err := v.store.InTx(ctx, func(tx Tx) (err error) {
		events := []EventType{success}
		if a.right {
			if done.RemainingTries, err = tx.GiveBack(a.rec.Card.ID, a.taken.TakeNumber, a.rec.Program.TryLimit); err != nil {
				return err
			}
		} else if events = []EventType{EventPINFailed}; a.result != Exhausted && a.taken.TriesLeft == 0 {
			events = append(events, EventPINBlocked)
		}
		for _, t := range events {
			e := cardEvent(t, a.rec.Card)
			e.Outcome = string(a.result)
			if err := v.audit(ctx, tx, e, m); err != nil {
				return err
			}
		}
		return m.complete(tx, done)
	})
	return done, err
}

func (m Memo) reserve(tx Tx) error {
	if m.Reserve == nil {
		return nil
	}
	return m.Reserve(tx)
}

func (m Memo) complete(tx Tx, result any) error {
	if m.Complete == nil {
		return nil
	}
	return m.Complete(tx, result)
}

// matches holds a PIN against a verifier, in constant time.
func (v *Vault) matches(cardID string, p PIN, verifier []byte) bool {
	if len(verifier) == 0 || p.Len() == 0 {
		return false
	}
	input := frame(cardID, string(p.Digits()))
	defer clear(input)
	return v.keys.VerifyMAC(UseVerifier, input, verifier)
}

// seal makes the PIN's form at rest: a verifier bound to the card and, only where the program allows
// retrieval, a ciphertext bound to program and card.
func (v *Vault) seal(c Card, pr Program, p PIN, state PINState) (PINRecord, error) {
	input := frame(c.ID, string(p.Digits()))
	defer clear(input)
	out := PINRecord{State: state, TriesLeft: pr.TryLimit, Version: 1, ChangedAt: v.clock()}
	var err error
	if out.Verifier, err = v.keys.MAC(UseVerifier, input); err != nil {
		return PINRecord{}, err
	}
	if pr.RetrievalAllowed {
		out.Ciphertext, err = v.keys.Seal(UsePIN, p.Digits(), frame(pr.ID, c.ID))
	}
	return out, err
}

// pan opens the card's PAN, "" for a card without.
func (v *Vault) pan(c Card) (string, error) {
	if len(c.PANCiphertext) == 0 {
		return "", nil
	}
	pan, err := v.keys.Open(UsePAN, c.PANCiphertext, frame(c.ProgramID, c.ID))
	return string(pan), err
}

// MaskedPAN is the card's PAN as it may be shown, see [MaskPAN].
func (v *Vault) MaskedPAN(c Card) (string, error) {
	pan, err := v.pan(c)
	return MaskPAN(pan), err
}
