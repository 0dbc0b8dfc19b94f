// Package pinsession runs one-time PIN-entry sessions: a partner's contract hands out the link to one, and a
// cardholder redeems it on the hosted page.
//
// It knows the domain only; what a link looks like on the wire and what its page says belongs to the
// contracts. Four things keep a session to its holder:
//
//   - The link's secret, 256 bits, stands in the URL's fragment, which no server, proxy or Referer ever
//     gets. It is exchanged by POST, by one browser, and a digest of it is kept, sealed. Who opens the link elsewhere, later,
//     is refused; the browser is known by 256 bits of its own and goes on after a reload.
//   - A wrong secret may be tried [Exchanges] times; that it was wrong is told only when the try is taken and
//     committed.
//   - What the secret is exchanged for is a fresh token that never stands in a URL, and a fresh key, to
//     which the page encrypts each PIN (see key.go).
//   - A session ends with the PIN that it was made for: see [pin.Vault.ChoosePIN].
package pinsession

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"time"

	"pinvault/impl/pin"
)

// Exchanges is how often the secret of one link may be tried.
const Exchanges = 3

// DefaultLifetime is how long a link is valid unless configured otherwise.
const DefaultLifetime = 5 * time.Minute

// ErrExpired and ErrUnusable are why a session is not valid. The second is for everything else: a
// session that was never made, one that was used, a wrong secret, another session's token.
var (
	ErrExpired  = fmt.Errorf("pinsession: expired: %w", &pin.Error{Code: pin.NotFound})
	ErrUnusable = fmt.Errorf("pinsession: unusable: %w", &pin.Error{Code: pin.NotFound})
)

// Vault is what sessions need of [pin.Vault].
type Vault interface {
	Program(ctx context.Context, id string) (pin.Program, error)
	Card(ctx context.Context, q pin.Query) (pin.Record, error)
	MaskedPAN(c pin.Card) (string, error)
	Verify(ctx context.Context, q pin.Query, o pin.Offer, m pin.Memo) (pin.Verification, error)
	SessionID() (string, error)
	OpenSession(ctx context.Context, q pin.Query, n pin.NewSession, m pin.Memo) (pin.Session, error)
	Session(ctx context.Context, id string) (pin.Session, error)
	Entry(ctx context.Context, id string) (pin.Entry, error)
	MoveSession(ctx context.Context, s pin.Session) error
	ChoosePIN(ctx context.Context, e pin.Entry, p pin.PIN, m pin.Memo) error
}

// Keys is what sessions need of [pin.Keys].
type Keys interface {
	pin.MACs
	pin.AEADs
}

// Sessions makes and redeems sessions. It is safe for concurrent use, by several processes on one store
// too.
type Sessions struct {
	vault    Vault
	keys     Keys
	lifetime time.Duration
	now      func() time.Time
	rand     io.Reader
	opened   func(ctx context.Context, message []byte)
}

// New makes the sessions of a vault. lifetime, now and random default to
// [DefaultLifetime], the clock and the system's random source.
func New(vault Vault, keys Keys, lifetime time.Duration, now func() time.Time, random io.Reader) *Sessions {
	if lifetime == 0 {
		lifetime = DefaultLifetime
	}
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	return &Sessions{vault: vault, keys: keys, lifetime: lifetime, now: now, rand: random, opened: func(context.Context, []byte) {}}
}

// OnOpened has told hear what was inside of each message of the page, which is cleared once it was used. It is set before
// the first one comes.
func (s *Sessions) OnOpened(hear func(ctx context.Context, message []byte)) { s.opened = hear }

// clock is the time as the store keeps it.
func (s *Sessions) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Lifetime is how long a link is valid.
func (s *Sessions) Lifetime() time.Duration { return s.lifetime }

// Open makes a session for the card that q describes: errors as [pin.Vault.OpenSession].
func (s *Sessions) Open(ctx context.Context, q pin.Query, action pin.Action, requestID string, m pin.Memo) (pin.Session, error) {
	id, err := s.vault.SessionID()
	if err != nil {
		return pin.Session{}, err
	}
	secret, err := s.Secret(id)
	if err != nil {
		return pin.Session{}, err
	}
	kept, err := s.keep(pin.SessionLink, id, secret)
	if err != nil {
		return pin.Session{}, err
	}
	return s.vault.OpenSession(ctx, q, pin.NewSession{ID: id, Action: action, RequestID: requestID,
		SecretDigest: kept, Exchanges: Exchanges, Lifetime: s.lifetime}, m)
}

// Serves tells whether a session's link is as good as when it was handed out: nobody has exchanged its secret, it
// has time left, and the card would have the same PIN set in the same way. The keys were not rotated since either, so
// that [Sessions.Secret] makes its secret again.
func (s *Sessions) Serves(ctx context.Context, id string) (bool, error) {
	session, err := s.vault.Session(ctx, id)
	if err == nil {
		err = s.check(session, pin.SessionOpen)
	}
	if err == nil {
		_, err = s.vault.Card(as(ctx, session), pin.Query{ProgramID: session.ProgramID, CardID: session.CardID,
			Check: func(rec pin.Record) error { return rec.Serves(session) }})
	}
	switch pin.CodeOf(err) {
	case "":
		secret, err := s.Secret(id)
		if err != nil {
			return false, err
		}
		return s.same(pin.SessionLink, id, secret, session.SecretDigest)
	case pin.Unavailable, pin.Internal:
		return false, err
	}
	return false, nil
}

// Secret derives the secret of a session's link from the session's id: 256 bits of a MAC under a key of the vault's
// own. So the same link can be made again for a request that is repeated, and no table holds it. The
// input cannot be one of an idempotency fingerprint, which begins with a length of eight bytes.
func (s *Sessions) Secret(id string) (string, error) {
	const domain = "pinvault: secret of a PIN session: "
	mac, err := s.keys.MAC(pin.UseFingerprint, []byte(domain+id))
	if err != nil {
		return "", err
	}
	return encode(mac[len(mac)-sha256.Size:]), nil // without the prefix that names the key
}

// Session finds a session and its program for the page, which knows the id alone and must show no more
// than anybody may see: ErrExpired, and ErrUnusable for one that no browser can exchange, both with the
// session where there is one.
func (s *Sessions) Session(ctx context.Context, id string) (pin.Session, pin.Program, error) {
	session, err := s.vault.Session(ctx, id)
	if err != nil {
		return pin.Session{}, pin.Program{}, unknown(err)
	}
	program, err := s.vault.Program(as(ctx, session), session.ProgramID)
	if err == nil {
		err = s.exchangeable(session)
	}
	return session, program, err
}

// exchangeable tells whether a browser can exchange the session's secret: any at first, and then the one that did.
func (s *Sessions) exchangeable(session pin.Session) error {
	return s.check(session, pin.SessionOpen, pin.SessionExchanged, pin.SessionVerified)
}

// check tells whether a session is in one of the states and has time left. One that may still be exchanged must
// have tries left for it.
func (s *Sessions) check(session pin.Session, states ...pin.SessionState) error {
	switch {
	case session.State == pin.SessionUsed || session.State == pin.SessionFailed:
		return ErrUnusable
	case session.Expired(s.now()):
		return ErrExpired
	case !slices.Contains(states, session.State), slices.Contains(states, pin.SessionOpen) && session.ExchangesLeft == 0:
		return ErrUnusable
	}
	return nil
}

// Grant is what a link's secret was exchanged for.
type Grant struct {
	pin.Session
	Token      string // proves that the submissions are its holder's
	Key        Key    // what PINs are encrypted to
	CardEnding string // the last four digits of the card's PAN, which only the link's holder sees; "" where it has none
}

// Exchange takes a link's secret: ErrExpired, ErrUnusable. It works for whoever comes first; a browser
// that is known by 256 bits of its own may do it again, after a reload or an answer that was lost, and what
// was granted before is void. What the cardholder has done stays done. That a secret was wrong is told when the try
// is taken, not before.
func (s *Sessions) Exchange(ctx context.Context, id, secret, browser string) (Grant, error) {
	for {
		session, err := s.vault.Session(ctx, id)
		if err != nil {
			return Grant{}, unknown(err)
		}
		if err := s.exchangeable(session); err != nil {
			return Grant{}, err
		}
		g := Grant{Session: session}
		right, err := s.same(pin.SessionLink, id, secret, session.SecretDigest)
		if err != nil {
			return Grant{}, err
		}
		known, err := s.same(pin.SessionBrowser, id, browser, session.BrowserDigest)
		switch {
		case err != nil:
			return Grant{}, err
		case !right:
			g.ExchangesLeft--
		case session.State != pin.SessionOpen && !known:
			return Grant{}, ErrUnusable // another browser has it: nothing was guessed at
		default:
			if g, err = s.grant(ctx, session, browser); err != nil {
				return Grant{}, err
			}
		}
		g.Version++
		switch err := s.vault.MoveSession(ctx, g.Session); {
		case sessionMoved(err): // by somebody who tries at the same time
			continue
		case err != nil:
			return Grant{}, err
		case !right:
			return Grant{}, ErrUnusable
		}
		return g, nil
	}
}

// sessionMoved tells whether somebody else has moved the session.
func sessionMoved(err error) bool {
	return pin.CodeOf(err) == pin.Conflict && pin.FieldOf(err) == string(pin.TableSessions)
}

// grant draws a token and a key for the session and the browser that has it, which is not written yet.
func (s *Sessions) grant(ctx context.Context, session pin.Session, browser string) (Grant, error) {
	var token [32]byte
	if _, err := io.ReadFull(s.rand, token[:]); err != nil {
		return Grant{}, &pin.Error{Code: pin.Internal, Err: err}
	}
	g := Grant{Session: session, Token: encode(token[:])}
	var err error
	if g.State == pin.SessionOpen {
		g.State, g.ExchangedAt = pin.SessionExchanged, s.clock()
		if browser != "" {
			if g.BrowserDigest, err = s.keep(pin.SessionBrowser, session.ID, browser); err != nil {
				return Grant{}, err
			}
		}
	}
	if g.TokenDigest, err = s.keep(pin.SessionToken, session.ID, g.Token); err != nil {
		return Grant{}, err
	}
	if g.Key, g.PrivateKey, err = s.newKey(session.ID); err != nil {
		return Grant{}, err
	}
	g.CardEnding, err = s.cardEnding(ctx, session)
	return g, err
}

// cardEnding is the last four digits of the PAN of a session's card, "" where it has none.
func (s *Sessions) cardEnding(ctx context.Context, session pin.Session) (string, error) {
	rec, err := s.vault.Card(as(ctx, session), pin.Query{ProgramID: session.ProgramID, CardID: session.CardID})
	if err != nil {
		return "", err
	}
	masked, err := s.vault.MaskedPAN(rec.Card)
	return masked[max(0, len(masked)-4):], err
}

// redeem finds the session that a submission belongs to, and its card.
func (s *Sessions) redeem(ctx context.Context, id, token string) (pin.Entry, error) {
	entry, err := s.vault.Entry(ctx, id)
	if err != nil {
		return pin.Entry{}, unknown(err)
	}
	right, err := s.same(pin.SessionToken, id, token, entry.TokenDigest)
	if err == nil && !right {
		err = ErrUnusable
	}
	if err != nil {
		return pin.Entry{}, err
	}
	return entry, nil
}

// Verify checks the current PIN of a change, sealed by the page, against the card's try counter:
// ErrExpired, ErrUnusable (also when the PIN was changed elsewhere since), Unopenable, which takes no
// try, InvalidPIN, and errors as [pin.Vault.Verify]. A right PIN lets the session's holder go on to
// [Sessions.Choose]; when no tries remain the session is over.
func (s *Sessions) Verify(ctx context.Context, id, token string, sealed []byte) (pin.Verification, error) {
	for state := pin.SessionExchanged; ; {
		entry, err := s.redeem(ctx, id, token)
		if err == nil {
			err = s.check(entry.Session, state)
		}
		if err != nil {
			return pin.Verification{}, err
		}
		done, err := s.verify(ctx, entry, sealed)
		if !sessionMoved(err) {
			return done, err
		}
		// Of several answers at once one moves the session. This one was not told, and counts now: for a
		// session that still has its PIN checked, or whose holder was right meanwhile.
		if entry, err = s.redeem(ctx, id, token); err != nil {
			return pin.Verification{}, err
		}
		state = entry.State
		if state != pin.SessionExchanged && state != pin.SessionVerified {
			return pin.Verification{}, ErrUnusable
		}
	}
}

func (s *Sessions) verify(ctx context.Context, entry pin.Entry, sealed []byte) (pin.Verification, error) {
	session := entry.Session
	if session.Action != pin.ActionChange {
		return pin.Verification{}, ErrUnusable
	}
	offered, err := s.open(ctx, session, purposeCurrent, sealed)
	if err != nil {
		return pin.Verification{}, err
	}
	defer offered.Clear()
	q := entry.Query()
	q.Check = func(rec pin.Record) error {
		if rec.PIN.Version != session.PINVersion {
			return ErrUnusable
		}
		return nil
	}
	return s.vault.Verify(as(ctx, session), q, pin.Plain(offered), pin.Memo{Session: func(result any) *pin.Session {
		done, _ := result.(pin.Verification)
		return checked(session, done, s.clock())
	}})
}

// checked is what becomes of a session when the current PIN was checked; nil: it stays.
func checked(session pin.Session, done pin.Verification, now time.Time) *pin.Session {
	switch {
	case done.Result == pin.Match && session.State == pin.SessionExchanged:
		session.State = pin.SessionVerified
		session.Version++
	case done.Result != pin.Match && done.RemainingTries == 0:
		session = session.End(pin.SessionFailed, now)
	default:
		return nil
	}
	return &session
}

// Choose gives the card the new PIN, sealed by the page, and ends the session: ErrExpired, ErrUnusable
// (also when the PIN was changed elsewhere since, or the current one of a change was not checked),
// Blocked, Unopenable, InvalidPIN, and the policy's refusals, after which the session's holder may try another.
func (s *Sessions) Choose(ctx context.Context, id, token string, sealed []byte) error {
	entry, err := s.redeem(ctx, id, token)
	if err != nil {
		return err
	}
	state := pin.SessionExchanged
	if entry.Action == pin.ActionChange {
		state = pin.SessionVerified
	}
	if err := s.check(entry.Session, state); err != nil {
		return err
	}
	chosen, err := s.open(ctx, entry.Session, purposeNew, sealed)
	if err != nil {
		return err
	}
	defer chosen.Clear()
	return moved(s.vault.ChoosePIN(as(ctx, entry.Session), entry, chosen, pin.Memo{}))
}

// as is the context of what a session's holder does: for the one who asked for the session, in its
// program.
func as(ctx context.Context, session pin.Session) context.Context {
	who := pin.CallerFrom(ctx).In(session.ProgramID)
	who.ClientID, who.Contract = session.ClientID, "hosted"
	return pin.WithCaller(ctx, who)
}

// unknown is ErrUnusable for a session that is not there.
func unknown(err error) error {
	if pin.CodeOf(err) == pin.NotFound {
		return ErrUnusable
	}
	return err
}

// moved is ErrUnusable for a session, or a PIN, that somebody else moved on.
func moved(err error) error {
	if pin.CodeOf(err) == pin.Conflict {
		return ErrUnusable
	}
	return err
}

// keep is what is kept of a session's secret: a digest, sealed, so that nobody who can write rows can make one.
func (s *Sessions) keep(what, id, secret string) ([]byte, error) {
	return pin.KeepSecret(s.keys, secret, pin.SessionSecretBound(what, id)...)
}

// same compares in constant time. Nothing is the same as what was never kept.
func (s *Sessions) same(what, id, secret string, kept []byte) (bool, error) {
	if len(kept) == 0 {
		return false, nil
	}
	return pin.SecretMatches(s.keys, kept, secret, pin.SessionSecretBound(what, id)...)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
