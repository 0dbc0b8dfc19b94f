package pinsession

import (
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/keyring"
	"pinvault/impl/keyring/keyringtest"
	"pinvault/impl/pin"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// house are sessions over a vault as it is, with a card whose PIN is 4826.
type house struct {
	*Sessions
	vault *pin.Vault
	card  pin.Card
	q     pin.Query
	now   time.Time
}

func newHouse(t *testing.T) *house {
	t.Helper()
	ctx := by(t)
	db, err := store.Open(ctx, storetest.SQLite(t), store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(ctx))
	h := &house{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return h.now }
	ring := keyring.Open(keyringtest.Shared(t), db, clock)
	h.vault = pin.NewVault(db, ring, clock, nil)
	h.Sessions = New(h.vault, ring, 0, clock, nil)
	program, err := h.vault.CreateProgram(ctx, pin.NewProgram("test"), pin.Memo{})
	require.NoError(t, err)
	p, err := pin.New([]byte("4826"))
	require.NoError(t, err)
	h.card, err = h.vault.CreateCard(ctx, pin.NewCard{ProgramID: program.ID, PIN: p}, pin.Memo{})
	require.NoError(t, err)
	h.q = pin.Query{CardID: h.card.ID}
	return h
}

// page is a session's link, and what its page has got for it.
type page struct {
	id, secret string
	Grant
	key *ecdh.PublicKey
}

// by is the test's context, called by an operator.
func by(t *testing.T) context.Context {
	t.Helper()
	return pin.WithCaller(t.Context(), pin.Operator(""))
}

func (h *house) link(t *testing.T, a pin.Action) *page {
	t.Helper()
	s, err := h.Open(by(t), h.q, a, "request", pin.Memo{})
	require.NoError(t, err)
	secret, err := h.Secret(s.ID)
	require.NoError(t, err)
	return &page{id: s.ID, secret: secret}
}

func (h *house) exchanged(t *testing.T, a pin.Action) *page {
	t.Helper()
	p := h.link(t, a)
	var err error
	p.Grant, err = h.Exchange(by(t), p.id, p.secret, "")
	require.NoError(t, err)
	p.key = publicKey(t, p.Key)
	return p
}

func publicKey(t *testing.T, k Key) *ecdh.PublicKey {
	t.Helper()
	point := []byte{4}
	for _, text := range []string{k.X, k.Y} {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		require.NoError(t, err)
		point = append(point, raw...)
	}
	key, err := ecdh.P256().NewPublicKey(point)
	require.NoError(t, err)
	return key
}

func (p *page) says(t *testing.T, purpose, digits string) []byte {
	t.Helper()
	return seal(t, p.key, fmt.Sprintf(`{"for":%q,"pin":%q}`, purpose, digits))
}

func (h *house) current(t *testing.T, p *page, digits string) (string, error) {
	t.Helper()
	v, err := h.Verify(by(t), p.id, p.Token, p.says(t, "current", digits))
	return fmt.Sprint(v.Result, " ", v.RemainingTries), err
}

func (h *house) choose(t *testing.T, p *page, digits string) error {
	t.Helper()
	return h.Choose(by(t), p.id, p.Token, p.says(t, "new", digits))
}

func (h *house) stands(t *testing.T, digits string) {
	t.Helper()
	offered, err := pin.New([]byte(digits))
	require.NoError(t, err)
	v, err := h.vault.Verify(by(t), h.q, pin.Plain(offered), pin.Memo{})
	require.NoError(t, err)
	require.Equal(t, pin.Match, v.Result)
}

func TestALinkServesOnce(t *testing.T) {
	t.Parallel()
	for _, action := range []pin.Action{pin.ActionSet, pin.ActionReset} {
		h := newHouse(t)
		require.Equal(t, DefaultLifetime, h.Lifetime())
		p := h.link(t, action)
		shown, program, err := h.Session(by(t), p.id)
		require.NoError(t, err)
		require.Equal(t, p.id, shown.ID)
		require.Equal(t, h.card.ProgramID, program.ID)
		require.Equal(t, h.now.Add(DefaultLifetime), shown.ExpiresAt)

		p = h.exchanged(t, action)
		_, err = h.Exchange(by(t), p.id, p.secret, "")
		require.ErrorIs(t, err, ErrUnusable)
		_, _, err = h.Session(by(t), p.id)
		require.NoError(t, err, "its page may be opened again")
		_, err = h.current(t, p, "4826")
		require.ErrorIs(t, err, ErrUnusable, "nothing is to be proved")
		require.Equal(t, pin.WeakPIN, pin.CodeOf(h.choose(t, p, "1234")))
		require.Equal(t, pin.Unopenable, pin.CodeOf(h.Choose(by(t), p.id, p.Token, p.says(t, "current", "9173"))), "a PIN for another purpose")
		require.ErrorIs(t, h.Choose(by(t), p.id, p.Token[1:]+p.Token[:1], p.says(t, "new", "9173")), ErrUnusable, "another token")
		require.NoError(t, h.choose(t, p, "9173"))
		require.ErrorIs(t, h.choose(t, p, "5081"), ErrUnusable)
		_, _, err = h.Session(by(t), p.id)
		require.ErrorIs(t, err, ErrUnusable)
		h.stands(t, "9173")
	}
}

func TestASecretMayBeTriedThreeTimes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.link(t, pin.ActionSet)
	for range Exchanges - 1 {
		g, err := h.Exchange(by(t), p.id, "wrong", "")
		require.ErrorIs(t, err, ErrUnusable)
		require.Zero(t, g)
	}
	g, err := h.Exchange(by(t), p.id, p.secret, "")
	require.NoError(t, err)
	require.NotEmpty(t, g.Token)

	p = h.link(t, pin.ActionSet)
	for range Exchanges {
		_, err = h.Exchange(by(t), p.id, "wrong", "")
		require.ErrorIs(t, err, ErrUnusable)
	}
	_, err = h.Exchange(by(t), p.id, p.secret, "")
	require.ErrorIs(t, err, ErrUnusable, "the tries are used up")
	_, err = h.Exchange(by(t), "nobody's", p.secret, "")
	require.ErrorIs(t, err, ErrUnusable)
}

// The browser that was first goes on after a reload, and nobody else: not with its link alone, nor with what it had
// before.
func TestTheBrowserThatExchangedALinkGoesOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const own, other = "browser", "another browser"
	p := h.link(t, pin.ActionChange)
	again := func() *page {
		g, err := h.Exchange(by(t), p.id, p.secret, own)
		require.NoError(t, err)
		return &page{id: p.id, secret: p.secret, Grant: g, key: publicKey(t, g.Key)}
	}
	first := again()
	second := again()
	require.NotEqual(t, first.Token, second.Token)
	require.NotEqual(t, first.Key, second.Key)
	_, err := h.current(t, first, "4826")
	require.ErrorIs(t, err, ErrUnusable, "what was granted before is void")
	answer, err := h.current(t, second, "1111")
	require.NoError(t, err)
	require.Equal(t, "mismatch 2", answer)

	for range 2 * Exchanges { // which guesses nothing, and takes no try
		for _, stranger := range []string{"", other} {
			_, err = h.Exchange(by(t), p.id, p.secret, stranger)
			require.ErrorIs(t, err, ErrUnusable)
		}
	}
	_, err = h.Exchange(by(t), p.id, "wrong", own)
	require.ErrorIs(t, err, ErrUnusable)

	answer, err = h.current(t, again(), "4826")
	require.NoError(t, err)
	require.Equal(t, "match 3", answer)
	third := again()
	_, err = h.current(t, third, "4826")
	require.ErrorIs(t, err, ErrUnusable, "the current PIN was proved before the reload")
	require.NoError(t, h.choose(t, third, "9173"))
	_, err = h.Exchange(by(t), p.id, p.secret, own)
	require.ErrorIs(t, err, ErrUnusable, "one PIN is set")
	h.stands(t, "9173")

	p = h.link(t, pin.ActionReset)
	last := again()
	for range Exchanges {
		_, err = h.Exchange(by(t), p.id, "wrong", own)
		require.ErrorIs(t, err, ErrUnusable)
	}
	_, err = h.Exchange(by(t), p.id, p.secret, own)
	require.ErrorIs(t, err, ErrUnusable, "the tries are used up")
	require.NoError(t, h.choose(t, last, "5081"), "who has a token needs none")
}

// A link serves whoever opens it first, until something ends that.
func TestALinkServes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		action pin.Action
		then   func(t *testing.T, h *house, p *page)
		want   bool
	}{
		"as it was handed out": {pin.ActionChange, func(*testing.T, *house, *page) {}, true},
		"two wrong secrets later": {pin.ActionReset, func(t *testing.T, h *house, p *page) {
			for range Exchanges - 1 {
				_, err := h.Exchange(by(t), p.id, "wrong", "")
				require.ErrorIs(t, err, ErrUnusable)
			}
		}, true},
		"three wrong secrets later": {pin.ActionReset, func(t *testing.T, h *house, p *page) {
			for range Exchanges {
				_, err := h.Exchange(by(t), p.id, "wrong", "")
				require.ErrorIs(t, err, ErrUnusable)
			}
		}, false},
		"when it was exchanged": {pin.ActionReset, func(t *testing.T, h *house, p *page) {
			_, err := h.Exchange(by(t), p.id, p.secret, "browser")
			require.NoError(t, err)
		}, false},
		"to the end of its time": {pin.ActionReset, func(_ *testing.T, h *house, _ *page) { h.now = h.now.Add(DefaultLifetime - time.Microsecond) }, true},
		"when its time is over":  {pin.ActionReset, func(_ *testing.T, h *house, _ *page) { h.now = h.now.Add(DefaultLifetime) }, false},
		"when the PIN was changed elsewhere": {pin.ActionReset, func(t *testing.T, h *house, _ *page) {
			require.NoError(t, h.choose(t, h.exchanged(t, pin.ActionReset), "9173"))
		}, false},
		"when the PIN was blocked":              {pin.ActionChange, func(t *testing.T, h *house, _ *page) { h.block(t) }, false},
		"when the PIN was blocked, for a reset": {pin.ActionReset, func(t *testing.T, h *house, _ *page) { h.block(t) }, true},
		"when the card was lost": {pin.ActionReset, func(t *testing.T, h *house, _ *page) {
			_, err := h.vault.UpdateCard(by(t), h.q, func(c *pin.Card) error { c.Status = pin.StatusLost; return nil }, pin.Memo{})
			require.NoError(t, err)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			p := h.link(t, c.action)
			c.then(t, h, p)
			serves, err := h.Serves(by(t), p.id)
			require.NoError(t, err)
			require.Equal(t, c.want, serves)
		})
	}
}

// block uses up the card's tries.
func (h *house) block(t *testing.T) {
	t.Helper()
	p := h.exchanged(t, pin.ActionChange)
	for range 3 {
		_, err := h.current(t, p, "1111")
		require.NoError(t, err)
	}
}

// A PIN whose tries were used up elsewhere meanwhile is set by a reset alone: the card would stay blocked.
func TestABlockedPINIsSetByAResetAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	set, change, reset := h.exchanged(t, pin.ActionSet), h.exchanged(t, pin.ActionChange), h.exchanged(t, pin.ActionReset)
	_, err := h.current(t, change, "4826")
	require.NoError(t, err)
	h.block(t)
	for _, p := range []*page{set, change} {
		require.Equal(t, pin.Blocked, pin.CodeOf(h.choose(t, p, "9173")))
	}
	require.NoError(t, h.choose(t, reset, "9173"))
	h.stands(t, "9173")
}

// Of many who exchange one link at once, one gets what it is worth.
func TestOfManyExchangesOneSucceeds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.link(t, pin.ActionSet)
	errs := make([]error, 16)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { _, errs[i] = h.Exchange(context.Background(), p.id, p.secret, "") })
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.ErrorIs(t, err, ErrUnusable)
		}
	}
	require.Equal(t, 1, won)
}

func TestALinkExpires(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p, q, late := h.link(t, pin.ActionSet), h.exchanged(t, pin.ActionSet), h.exchanged(t, pin.ActionChange)
	h.now = h.now.Add(DefaultLifetime)
	_, err := h.Exchange(by(t), p.id, p.secret, "")
	require.ErrorIs(t, err, ErrExpired)
	shown, _, err := h.Session(by(t), p.id)
	require.ErrorIs(t, err, ErrExpired)
	require.Equal(t, p.id, shown.ID)
	require.ErrorIs(t, h.choose(t, q, "9173"), ErrExpired)
	_, err = h.current(t, late, "4826")
	require.ErrorIs(t, err, ErrExpired)
	_, _, err = h.Session(by(t), "nobody's")
	require.ErrorIs(t, err, ErrUnusable)
}

func TestAChangeProvesTheCurrentPIN(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.exchanged(t, pin.ActionChange)
	require.ErrorIs(t, h.choose(t, p, "9173"), ErrUnusable, "not yet")
	answer, err := h.current(t, p, "1111")
	require.NoError(t, err)
	require.Equal(t, "mismatch 2", answer)
	require.ErrorIs(t, h.choose(t, p, "9173"), ErrUnusable)
	_, err = h.Verify(by(t), p.id, p.Token, []byte("...."))
	require.Equal(t, pin.Unopenable, pin.CodeOf(err))
	_, err = h.current(t, p, "482")
	require.Equal(t, pin.InvalidPIN, pin.CodeOf(err))
	require.NotContains(t, err.Error(), "482")
	answer, err = h.current(t, p, "1111")
	require.NoError(t, err)
	require.Equal(t, "mismatch 1", answer, "neither of them took a try")
	answer, err = h.current(t, p, "4826")
	require.NoError(t, err)
	require.Equal(t, "match 3", answer)
	_, err = h.current(t, p, "4826")
	require.ErrorIs(t, err, ErrUnusable, "it was proved")
	require.NoError(t, h.choose(t, p, "9173"))
	h.stands(t, "9173")
}

func TestAChangeEndsWithTheTries(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.exchanged(t, pin.ActionChange)
	for left := 2; left >= 0; left-- {
		answer, err := h.current(t, p, "1111")
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("mismatch ", left), answer)
	}
	_, err := h.current(t, p, "4826")
	require.ErrorIs(t, err, ErrUnusable, "the session is over, and its key is gone")
	s, err := h.vault.Session(by(t), p.id)
	require.NoError(t, err)
	require.Equal(t, pin.SessionFailed, s.State)
	require.Empty(t, s.PrivateKey)
	require.Empty(t, s.TokenDigest)
	_, err = h.Open(by(t), h.q, pin.ActionChange, "request", pin.Memo{})
	require.Equal(t, pin.Blocked, pin.CodeOf(err))
}

func TestAPINThatWasChangedElsewhereEndsASession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	change, reset := h.exchanged(t, pin.ActionChange), h.exchanged(t, pin.ActionReset)
	p, err := pin.New([]byte("5081"))
	require.NoError(t, err)
	require.NoError(t, h.vault.SetPIN(by(t), h.q, pin.Plain(p), pin.Memo{}))
	_, err = h.current(t, change, "5081")
	require.ErrorIs(t, err, ErrUnusable)
	require.ErrorIs(t, h.choose(t, reset, "9173"), ErrUnusable)
	h.stands(t, "5081")
}

// However many answers a page sends at once: no more wrong ones are told than there are tries, and right ones
// beside each other are all told so.
func TestManyAnswersAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		digits string
		want   map[string]int // "unusable" and "blocked" aside; nil: matches
	}{
		"wrong ones": {"1111", map[string]int{"mismatch 2": 1, "mismatch 1": 1, "mismatch 0": 1}},
		"right ones": {"4826", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			p := h.exchanged(t, pin.ActionChange)
			sealed := make([][]byte, 12)
			for i := range sealed {
				sealed[i] = p.says(t, "current", test.digits)
			}
			answers := make([]string, len(sealed))
			var start, all sync.WaitGroup
			start.Add(1)
			for i := range sealed {
				all.Go(func() {
					start.Wait()
					v, err := h.Verify(context.Background(), p.id, p.Token, sealed[i])
					answers[i] = fmt.Sprint(v.Result, " ", v.RemainingTries)
					if err != nil {
						answers[i] = err.Error()
					}
				})
			}
			start.Done()
			all.Wait()
			count := map[string]int{}
			for _, a := range answers {
				if strings.Contains(a, "unusable") {
					a = "unusable"
				}
				count[a]++
			}
			if test.want == nil { // who comes after the session has moved is told that it has
				require.Equal(t, len(answers), count["match 3"]+count["unusable"], "%v", count)
				require.Positive(t, count["match 3"])
				return
			}
			blocked := count["blocked 0"]
			delete(count, "blocked 0")
			require.Equal(t, len(answers)-3, blocked+count["unusable"], "%v", count)
			delete(count, "unusable")
			require.Equal(t, test.want, count)
		})
	}
}

// failing is a vault whose calls fail.
type failing struct {
	Vault
	session pin.Session
	err     error
}

func (f failing) SessionID() (string, error) {
	if f.session.ID == "" {
		return "", f.err
	}
	return f.session.ID, nil
}

func (f failing) Session(context.Context, string) (pin.Session, error) {
	if f.session.ID == "" {
		return pin.Session{}, f.err
	}
	return f.session, nil
}

func (f failing) Entry(ctx context.Context, id string) (pin.Entry, error) {
	s, err := f.Session(ctx, id)
	return pin.Entry{Session: s}, err
}

func (f failing) MoveSession(context.Context, pin.Session) error { return f.err }

func (f failing) Card(context.Context, pin.Query) (pin.Record, error) { return pin.Record{}, f.err }

// broken are keys that make nothing.
type broken struct {
	unprotected
	mac, seal, open bool
}

func (b broken) Open(use pin.Use, ciphertext, associated []byte) ([]byte, error) {
	if b.open {
		return nil, &pin.Error{Code: pin.Unavailable}
	}
	return b.unprotected.Open(use, ciphertext, associated)
}

func (b broken) MAC(use pin.Use, data []byte) ([]byte, error) {
	if b.mac {
		return nil, &pin.Error{Code: pin.Unavailable}
	}
	return b.unprotected.MAC(use, data)
}

func (b broken) Seal(use pin.Use, plaintext, associated []byte) ([]byte, error) {
	if b.seal {
		return nil, &pin.Error{Code: pin.Unavailable}
	}
	return b.unprotected.Seal(use, plaintext, associated)
}

type dry struct{}

func (dry) Read([]byte) (int, error) { return 0, errors.New("no more randomness") }

func TestFailuresAreHandedOn(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	down := &pin.Error{Code: pin.Unavailable}
	gone := failing{err: down}
	for what, ask := range map[string]func(s *Sessions) error{
		"open": func(s *Sessions) error {
			_, err := s.Open(by(t), pin.Query{}, pin.ActionSet, "", pin.Memo{})
			return err
		},
		"serves":   func(s *Sessions) error { _, err := s.Serves(by(t), "session"); return err },
		"session":  func(s *Sessions) error { _, _, err := s.Session(by(t), "session"); return err },
		"exchange": func(s *Sessions) error { _, err := s.Exchange(by(t), "session", "secret", ""); return err },
		"verify":   func(s *Sessions) error { _, err := s.Verify(by(t), "session", "token", nil); return err },
		"choose":   func(s *Sessions) error { return s.Choose(by(t), "session", "token", nil) },
	} {
		require.ErrorIs(t, ask(New(gone, unprotected{}, 0, now, nil)), down, what)
	}
	open := pin.Session{ID: "session", State: pin.SessionOpen, ExchangesLeft: 3, ExpiresAt: now().Add(time.Hour)}
	_, err := New(failing{session: open, err: down}, broken{mac: true}, 0, now, nil).Open(by(t), pin.Query{}, pin.ActionSet, "", pin.Memo{})
	require.ErrorIs(t, err, down)
	_, err = New(failing{session: open, err: down}, unprotected{}, 0, now, nil).Serves(by(t), "session")
	require.ErrorIs(t, err, down)
	_, err = New(failing{session: open}, broken{mac: true}, 0, now, nil).Serves(by(t), "session")
	require.ErrorIs(t, err, down)
	good := New(nil, unprotected{}, 0, now, nil)
	secret, err := good.Secret("session")
	require.NoError(t, err)
	open.SecretDigest, err = good.keep(pin.SessionLink, "session", secret)
	require.NoError(t, err)
	for name, s := range map[string]*Sessions{
		"no database": New(failing{session: open, err: down}, unprotected{}, 0, now, nil),
		"no key":      New(failing{session: open}, broken{seal: true}, 0, now, nil),
		"no answer":   New(failing{session: open}, broken{open: true}, 0, now, nil),
	} {
		g, err := s.Exchange(by(t), "session", secret, "")
		require.ErrorIs(t, err, down, name)
		require.Empty(t, g.Token, name)
	}
	_, err = New(failing{session: open}, unprotected{}, 0, now, dry{}).Exchange(by(t), "session", secret, "")
	require.Equal(t, pin.Internal, pin.CodeOf(err))
}
