package pin

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Action is what a PIN-entry session is for.
type Action string

// The actions.
const (
	ActionSet    Action = "set"    // choose the first PIN of a card that has a random one
	ActionReset  Action = "reset"  // choose a PIN without knowing the current one
	ActionChange Action = "change" // choose a PIN, knowing the current one
)

// SessionState is how far a PIN-entry session has come.
type SessionState string

// The states. A session only ever moves down this list.
const (
	SessionOpen      SessionState = "open"      // its link has been handed out
	SessionExchanged SessionState = "exchanged" // the link's secret was exchanged for a token
	SessionVerified  SessionState = "verified"  // of a change: the current PIN was right
	SessionUsed      SessionState = "used"      // the PIN is set
	SessionFailed    SessionState = "failed"    // the PIN was blocked on the way
)

// Session lets a cardholder enter a PIN once, on a page of ours, for one card and one action. Its
// secrets are kept as hashes, which is enough for 256 random bits, and its private key wrapped.
type Session struct {
	ID            string // UUIDv7, public
	ProgramID     string
	CardID        string
	ClientID      string // who asked for it
	Action        Action
	RequestID     string // the partner's own name for it, shown in the page's events
	State         SessionState
	SecretHash    []byte `json:"-"` // of the link's secret
	ExchangesLeft int    // how often the secret may still be tried
	TokenHash     []byte `json:"-"` // of what the secret was exchanged for; nil while open, and at the end
	PrivateKey    []byte `json:"-"` // opens the PINs that the page sends; nil while open, and at the end
	PINVersion    int64  // the PIN that the session was made for
	CreatedAt     time.Time
	ExpiresAt     time.Time
}

// Expired tells whether the session's time is over.
func (s Session) Expired(now time.Time) bool { return !now.Before(s.ExpiresAt) }

// allows reports why a session for the action cannot be made: CardStatus, Conflict with the
// field "pin", NoPIN, Blocked. A reset is for who has used up the tries too; a change must prove the current PIN.
func (r Record) allows(a Action) error {
	switch {
	case !r.Card.Operable():
		return &Error{Code: CardStatus}
	case a == ActionSet && r.PIN.State == PINChosen:
		return &Error{Code: Conflict, Field: "pin"}
	case a != ActionSet && r.PIN.State == PINNone:
		return &Error{Code: NoPIN}
	case a == ActionChange && r.Blocked():
		return &Error{Code: Blocked}
	}
	return nil
}

// NewSession describes a session to be made.
type NewSession struct {
	ID         string // "": a fresh UUIDv7
	Action     Action
	RequestID  string
	SecretHash []byte
	Exchanges  int
	Lifetime   time.Duration
}

// SessionID draws the id of a session, for callers that must know it before the session is made.
func (v *Vault) SessionID() (string, error) {
	id, err := uuid.NewV7FromReader(v.rand)
	if err != nil {
		return "", &Error{Code: Internal, Err: err}
	}
	return id.String(), nil
}

// OpenSession makes a session for a card and the PIN that it has now: NotFound, Ambiguous, CardStatus,
// NoPIN, Blocked, and Conflict with the field "pin" where a PIN was chosen before it could be set.
func (v *Vault) OpenSession(ctx context.Context, q Query, n NewSession, m Memo) (Session, error) {
	rec, err := v.Card(ctx, q)
	if err == nil {
		err = rec.allows(n.Action)
	}
	if err != nil {
		return Session{}, err
	}
	now := v.clock()
	s := Session{ID: n.ID, ProgramID: rec.Card.ProgramID, CardID: rec.Card.ID, ClientID: CallerFrom(ctx).ClientID,
		Action: n.Action, RequestID: n.RequestID, State: SessionOpen, SecretHash: n.SecretHash, ExchangesLeft: n.Exchanges,
		PINVersion: rec.PIN.Version, CreatedAt: now, ExpiresAt: now.Add(n.Lifetime)}
	return s, v.store.InTx(ctx, func(tx Tx) error {
		if err := m.reserve(tx); err != nil {
			return err
		}
		if err := tx.InsertSession(s); err != nil {
			return err
		}
		e := cardEvent(EventSessionOpened, rec.Card)
		e.Subject = s.ID
		if err := v.audit(ctx, tx, e, m); err != nil {
			return err
		}
		return m.complete(tx, s)
	})
}

// ChoosePIN gives the session's card the PIN that its holder chose and ends the session, as one step:
// NotFound, CardStatus, PINLength, WeakPIN, RecentPIN, and Conflict when the session has ended or the
// PIN is no longer the one that the session was made for. A reset puts the try counter back as well:
// nobody has guessed at the new PIN, and its holder could not use it otherwise.
func (v *Vault) ChoosePIN(ctx context.Context, s Session, p PIN, m Memo) error {
	rec, err := v.operable(ctx, Query{ProgramID: s.ProgramID, CardID: s.CardID})
	if err != nil {
		return err
	}
	if err := rec.Program.check(p); err != nil {
		return err
	}
	fresh, err := v.seal(rec.Card, rec.Program, p, PINChosen)
	if err != nil {
		return err
	}
	from, event := SessionExchanged, EventPINSet
	if s.Action == ActionChange {
		from, event = SessionVerified, EventPINChanged
	}
	// Without its key, whatever was recorded of the session's traffic cannot be opened any more.
	s.State, s.TokenHash, s.PrivateKey = SessionUsed, nil, nil
	return v.store.InTx(ctx, func(tx Tx) error {
		// First of all, so that of many submissions at once the others wait here, and then find it used.
		if err := tx.MoveSession(s, from); err != nil {
			return err
		}
		if _, err := v.checkHistory(tx, rec, rec.PIN.Verifier, rec.PIN.Version, p); err != nil {
			return err
		}
		if err := tx.ReplacePIN(rec.Card.ID, s.PINVersion, fresh); err != nil {
			return err
		}
		if err := v.audit(ctx, tx, cardEvent(event, rec.Card), m); err != nil {
			return err
		}
		if s.Action == ActionReset {
			if err := v.restoreTries(ctx, tx, rec, m); err != nil {
				return err
			}
		}
		return m.complete(tx, nil)
	})
}

func (v *Vault) restoreTries(ctx context.Context, tx Tx, rec Record, m Memo) error {
	if err := tx.ResetTries(rec.Card.ID, rec.Program.TryLimit); err != nil || !rec.Blocked() {
		return err
	}
	return v.audit(ctx, tx, cardEvent(EventPINUnblocked, rec.Card), m)
}
