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
	SessionExchanged SessionState = "exchanged" // the link's secret was exchanged for a token, by one browser
	SessionVerified  SessionState = "verified"  // of a change: the current PIN was right
	SessionUsed      SessionState = "used"      // the PIN is set
	SessionFailed    SessionState = "failed"    // the PIN was blocked on the way
	SessionExpired   SessionState = "expired"   // its time was over before, and the trail tells of it
)

// Session lets a cardholder enter a PIN once, on our own page, for one card and one action. Of its
// secrets it keeps digests, sealed, and its private key wrapped.
type Session struct {
	ID            string       `json:"id"` // UUIDv7, public
	ProgramID     string       `json:"programId"`
	CardID        string       `json:"cardId"`
	ClientID      string       `json:"clientId"` // who asked for it
	Action        Action       `json:"action"`
	RequestID     string       `json:"requestId"` // the partner's own name for it, shown in the page's events
	State         SessionState `json:"state"`
	ExchangesLeft int          `json:"exchangesLeft"` // how often the link's secret may still be tried
	PINVersion    int64        `json:"pinVersion"`    // the PIN that the session was made for
	Version       int64        `json:"version"`       // counts changes
	CreatedAt     time.Time    `json:"createdAt"`
	ExpiresAt     time.Time    `json:"expiresAt"`
	ExchangedAt   time.Time    `json:"exchangedAt,omitzero"` // when a browser first exchanged the link's secret
	EndedAt       time.Time    `json:"endedAt,omitzero"`     // when the PIN was set, or blocked

	// What is compared with, see [KeepSecret], and the key wrapped.
	SecretDigest  []byte `json:"-"` // the link's secret
	BrowserDigest []byte `json:"-"` // what the browser that exchanged it is known by; nil while open, for one that keeps nothing, and at the end
	TokenDigest   []byte `json:"-"` // what the secret was exchanged for; nil while open, and at the end
	PrivateKey    []byte `json:"-"` // opens the PINs that the page sends; nil while open, and at the end
}

// restingSession is a session at rest. What it adds belongs into no replay record and no reply.
type restingSession struct {
	Session
	Secrets sessionSecrets `json:"secrets"`
}

type sessionSecrets struct {
	Secret     []byte `json:"secret,omitempty"`
	Browser    []byte `json:"browser,omitempty"`
	Token      []byte `json:"token,omitempty"`
	PrivateKey []byte `json:"privateKey,omitempty"`
}

// SessionKeyBound is what a session's private key is bound to, so that it serves no other session, and as no other kind of
// key.
func SessionKeyBound(id string) []byte { return []byte("pinvault: key of a PIN session: " + id) }

// What a secret of a session is for: it is bound to that, and to the session.
const (
	SessionLink    = "link"
	SessionBrowser = "browser"
	SessionToken   = "token"
)

// SessionSecretBound is what is kept of a session's secret is bound to.
func SessionSecretBound(what, id string) []string { return []string{"session", what, id} }

func (v *Vault) sealSession(s Session) (Row, error) {
	if _, err := v.renew(s.outputs()); err != nil {
		return Row{}, err
	}
	return Sealed(v.keys, Row{Table: TableSessions, ID: s.ID, ProgramID: s.ProgramID, CardID: s.CardID, Version: s.Version, ExpiresAt: micros(s.ExpiresAt)},
		s.resting())
}

func (s Session) resting() restingSession {
	return restingSession{s, sessionSecrets{s.SecretDigest, s.BrowserDigest, s.TokenDigest, s.PrivateKey}}
}

func (r restingSession) session() Session {
	s := r.Session
	s.SecretDigest, s.BrowserDigest, s.TokenDigest, s.PrivateKey = r.Secrets.Secret, r.Secrets.Browser, r.Secrets.Token, r.Secrets.PrivateKey
	return s
}

// Session finds a session, in any state, expired or not: NotFound.
func (v *Vault) Session(ctx context.Context, id string) (Session, error) {
	row, err := v.store.Row(ctx, TableSessions, "", id)
	if err != nil {
		return Session{}, err
	}
	return v.openSession(ctx, row)
}

func (v *Vault) openSession(ctx context.Context, row Row) (Session, error) {
	var r restingSession
	if err := v.unseal(ctx, row, &r); err != nil {
		return Session{}, err
	}
	s := r.session()
	if s.ID != row.ID || s.CardID != row.CardID || s.ProgramID != row.ProgramID || s.Version != row.Version || micros(s.ExpiresAt) != row.ExpiresAt {
		return Session{}, v.broken(ctx, string(TableSessions), row.ID)
	}
	return s, nil
}

// Entry is a session with its card as both stood at one moment: what a PIN that its holder enters is held against.
type Entry struct {
	Session
	found []CardRow // nil: the card is read when it is needed
}

// Entry finds a session as [Vault.Session] does, and its card in the same round trip: NotFound where there is no such card either.
func (v *Vault) Entry(ctx context.Context, id string) (Entry, error) {
	found, err := v.store.Find(ctx, Search{Session: id, Limit: 2})
	switch {
	case err != nil:
		return Entry{}, err
	case len(found) == 0:
		return Entry{}, &Error{Code: NotFound}
	case len(found) > 1:
		return Entry{}, &Error{Code: Ambiguous}
	}
	s, err := v.openSession(ctx, *found[0].Session)
	return Entry{s, found}, err
}

// Query finds the session's card, and asks nobody as long as it was not changed.
func (e Entry) Query() Query { return Query{ProgramID: e.ProgramID, CardID: e.CardID, found: e.found} }

// MoveSession writes the next state of a session, whose Version is one more than that of the state it
// was made from: Conflict (pin_sessions) when somebody else has moved it since.
func (v *Vault) MoveSession(ctx context.Context, s Session) error {
	row, err := v.sealSession(s)
	if err != nil {
		return err
	}
	own, cancel := ownTime(ctx)
	defer cancel()
	return v.commit(own, Change{Rows: []Row{row}}, false)
}

// ended tells whether the session is over whatever the time.
func (s Session) ended() bool {
	return s.State == SessionUsed || s.State == SessionFailed || s.State == SessionExpired || s.State == SessionOpen && s.ExchangesLeft == 0
}

// Expired tells whether the session's time is over.
func (s Session) Expired(now time.Time) bool { return !now.Before(s.ExpiresAt) }

// End is the session in its last state: without what its browser was known by, and without its key, so that whatever
// was recorded of its traffic cannot be opened any more.
func (s Session) End(state SessionState, at time.Time) Session {
	s.State, s.EndedAt, s.BrowserDigest, s.TokenDigest, s.PrivateKey = state, at, nil, nil, nil
	s.Version++
	return s
}

// Serves tells what keeps a session from setting the PIN, as far as the card goes: as allows, and Conflict with the
// field "pin" where the PIN is no longer the one that the session was made for.
func (r Record) Serves(s Session) error {
	if r.PIN.Version != s.PINVersion {
		return &Error{Code: Conflict, Field: "pin"}
	}
	return r.allows(s.Action)
}

// allows reports why a session for the action cannot be made: CardStatus, Conflict with the
// field "pin", NoPIN, Blocked. A reset alone is for who has used up the tries: with any other new PIN the card
// would stay blocked.
func (r Record) allows(a Action) error {
	switch {
	case !r.Card.Operable():
		return &Error{Code: CardStatus}
	case a == ActionSet && r.PIN.State == PINChosen:
		return &Error{Code: Conflict, Field: "pin"}
	case a != ActionSet && r.PIN.State == PINNone:
		return &Error{Code: NoPIN}
	case a != ActionReset && r.Blocked():
		return &Error{Code: Blocked}
	}
	return nil
}

// NewSession describes a session to be made.
type NewSession struct {
	ID           string // "": a fresh UUIDv7
	Action       Action
	RequestID    string
	SecretDigest []byte
	Exchanges    int
	Lifetime     time.Duration
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
	if n.ID == "" {
		var err error
		if n.ID, err = v.SessionID(); err != nil {
			return Session{}, err
		}
	}
	var s Session
	_, err := v.act(ctx, q, m, func(rec Record) (deed, error) {
		if err := rec.allows(n.Action); err != nil {
			return deed{}, err
		}
		now := v.clock()
		s = Session{ID: n.ID, ProgramID: rec.Card.ProgramID, CardID: rec.Card.ID, ClientID: CallerFrom(ctx).ClientID,
			Action: n.Action, RequestID: n.RequestID, State: SessionOpen, SecretDigest: n.SecretDigest, ExchangesLeft: n.Exchanges,
			PINVersion: rec.PIN.Version, Version: 1, CreatedAt: now, ExpiresAt: now.Add(n.Lifetime)}
		row, err := v.sealSession(s)
		return deed{Step: rec.PIN.Noted(Happening{Type: EventSessionOpened, Subject: s.ID}), result: s, rows: []Row{row},
			add: []Lookup{lookup(rec.Card, KindSession, s.ID)}}, err
	})
	return s, err
}

// ChoosePIN gives the session's card the PIN that its holder chose and ends the session, as one step:
// NotFound, CardStatus, Blocked, PINLength, WeakPIN, RecentPIN, and Conflict when the session has moved since or
// the PIN is no longer the one that the session was made for. A reset puts the try counter back as well:
// nobody has guessed at the new PIN, and its holder could not use it otherwise.
func (v *Vault) ChoosePIN(ctx context.Context, e Entry, p PIN, m Memo) error {
	s := e.Session
	row, err := v.sealSession(s.End(SessionUsed, v.clock()))
	if err != nil {
		return err
	}
	_, err = v.act(ctx, e.Query(), m, func(rec Record) (deed, error) {
		if err := rec.operable(); err != nil {
			return deed{}, err
		}
		c, err := v.choice(ctx, rec, v.watched(Plain(p), true))
		d := deed{Step: rec.PIN.Choose(rec.Program, s.Action, s.PINVersion, c, v.clock())}
		if d.Refusal == "" {
			d.rows = []Row{row}
			d.Happenings = append(d.Happenings, Happening{Type: EventSessionCompleted, Subject: s.ID})
		}
		return d, err
	})
	return err
}

// ExpireSession ends a session whose time is over, and tells the trail of it; of one that has ended already it does nothing.
func (v *Vault) ExpireSession(ctx context.Context, row Row) error {
	s, err := v.openSession(ctx, row)
	if err != nil || s.ended() || !s.Expired(v.clock()) {
		return err
	}
	ended, err := v.sealSession(s.End(SessionExpired, s.ExpiresAt))
	if err != nil {
		return err
	}
	_, err = v.act(WithCaller(ctx, Caller{}.In(s.ProgramID)), Query{ProgramID: s.ProgramID, CardID: s.CardID}, Memo{}, func(rec Record) (deed, error) {
		return deed{Step: rec.PIN.Noted(Happening{Type: EventSessionExpired, Subject: s.ID}), rows: []Row{ended}}, nil
	})
	if CodeOf(err) == Conflict { // somebody else has moved it
		err = nil
	}
	return err
}
