package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/pin"
	"pinvault/impl/store"
)

// The server is killed at any moment while cards are in use, and started again: what it has acknowledged
// is there, once; what it has not was done whole or not at all; and what bears an idempotency key is
// answered to the second call as it would have been to the first.
func TestKilledAtAnyMomentTheServerLosesNothingThatItAcknowledged(t *testing.T) {
	t.Parallel()
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := database(t)
			serve := func() *apptest.Process { return apptest.Serve(t, nil, "--sandbox", "--database-url", at) }
			p := serve()
			users := newUsers(t, at, p.URL)
			for range repetitions(2, 100) {
				users.use(t, p)
				p = serve()
				users.look(t, at, p.URL)
				auditContent(t, at)
			}
			t.Logf("%d calls were answered; of %d that were not, %d were repeated", users.answered, users.lost, users.repeated)
		})
	}
}

// users use cards: each of its own, and some one together.
type users struct {
	holders  []*holder
	knockers []*knocker
	shared   *trail

	answered, lost, repeated int
}

func newUsers(t *testing.T, database, server string) *users {
	t.Helper()
	c := newCrowd(t, server)
	u := &users{}
	for _, name := range []string{"normal", "second", "third", "no_plan", "shared_alias_a"} {
		card := c.card(name)
		u.holders = append(u.holders, &holder{crowd: c, card: card, state: state{c.fixtures.Text("/cards/" + name + "/pin"), tryLimit}, trail: newTrail(card)})
	}
	card := c.card("unchosen")
	u.shared = newTrail(card)
	for range 2 {
		u.knockers = append(u.knockers, &knocker{crowd: c, card: card, right: c.fixtures.Text("/cards/unchosen/pin")})
	}
	u.each(t, database, func(s *store.Store) { // with what the sandbox told of the cards
		u.shared.read(t, s)
		for _, h := range u.holders {
			h.trail.read(t, s)
		}
	})
	return u
}

// each opens the database for as long as f takes: nobody else has it open when a server is killed.
func (*users) each(t *testing.T, database string, f func(*store.Store)) {
	t.Helper()
	s := apptest.OpenStore(t, database)
	f(s)
	require.NoError(t, s.Close())
}

// use has everybody call the server until it is killed, which it is at some moment after its first answer.
func (u *users) use(t *testing.T, p *apptest.Process) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	first := make(chan struct{})
	answered := sync.OnceFunc(func() { close(first) })
	var all sync.WaitGroup
	for _, h := range u.holders {
		all.Go(func() { defer answered(); h.use(ctx, t, p.URL, answered) })
	}
	for _, k := range u.knockers {
		all.Go(func() { defer answered(); k.knock(ctx, t, p.URL, answered) })
	}
	<-first
	<-time.NewTimer(rand.N(200 * time.Millisecond)).C
	p.Kill(t)
	all.Wait()
}

// look holds against a server that was started again what everybody was told by the one before.
func (u *users) look(t *testing.T, database, server string) {
	t.Helper()
	u.each(t, database, func(s *store.Store) {
		for _, h := range u.holders {
			if h.lost != nil {
				u.lost++
				if h.lost.repeatable() {
					u.repeated++
				}
			}
			u.answered += len(h.acknowledged)
			h.look(t, s, server)
		}
		c := u.shared.read(t, s)
		for _, k := range u.knockers {
			for r, answer := range k.answers {
				u.answered++
				if r.path == k.unblock(k.card).path {
					require.Len(t, c.fates[r.trace], 1, "an unblock that was acknowledged")
					continue
				}
				c.agrees(t, r, answer)
			}
		}
		require.Equal(t, u.shared.left, u.holders[0].left(t, server, u.knockers[0].card), "tries by the trail, and by the status call")
	})
}

// state is what a holder knows of the card.
type state struct {
	pin  string
	left int
}

// errand is a call that a holder makes, and what is to come of it. As nobody else uses the card, that can
// be said beforehand.
type errand struct {
	request
	answer heard
	event  pin.EventType // "": one that is not always told
	after  state
}

// holder has a card.
type holder struct {
	*crowd
	card  plastic
	state state
	trail *trail

	acknowledged []errand // since the server was started
	lost         *errand  // the one that was not answered
	wrong        string   // what an answer was other than foretold
}

// use makes errands until one is not answered.
func (h *holder) use(ctx context.Context, t *testing.T, server string, answered func()) {
	t.Helper()
	h.acknowledged, h.lost = nil, nil
	for {
		e := h.errand(t)
		answer, err := h.send(ctx, server, e.request)
		if err != nil {
			h.lost = &e
			return
		}
		answered()
		if answer != e.answer {
			h.wrong = fmt.Sprintf("%s: told %v, not %v", e.path, answer, e.answer)
			return
		}
		h.state = e.after
		h.acknowledged = append(h.acknowledged, e)
	}
}

// errand draws one.
func (h *holder) errand(t *testing.T) errand {
	t.Helper()
	now := h.state
	keyed := rand.IntN(2) == 0
	chosen := choice()
	kind := rand.IntN(6)
	if now.left == 0 && rand.IntN(2) == 0 {
		kind = 5
	}
	var e errand
	switch kind {
	case 0, 1:
		right := rand.IntN(2) == 0
		e = h.guess(h.verify(t, h.card, offered(now.pin, right)), right, pin.EventPINVerified, now.pin)
	case 2:
		right := rand.IntN(3) > 0
		return h.guess(h.change(t, h.card, offered(now.pin, right), chosen), right, pin.EventPINChanged, chosen)
	case 3:
		return errand{h.set(t, h.card, chosen), heard{status: http.StatusNoContent}, pin.EventPINSet, state{chosen, now.left}}
	case 4:
		e = errand{h.setByThredd(h.card, chosen), heard{status: http.StatusNoContent}, pin.EventPINSet, state{chosen, now.left}}
		if keyed {
			e.request = e.keyed(threddKey)
		}
		return e
	default:
		e = errand{h.unblock(h.card), heard{status: http.StatusNoContent}, pin.EventPINUnblocked, state{now.pin, tryLimit}}
	}
	if keyed {
		e.request = e.keyed(issuerKey)
	}
	return e
}

// choice draws a PIN that no policy finds weak, and by which no row of the sandbox comes out.
func choice() string { return fmt.Sprintf("6%d%02d", rand.IntN(5), rand.IntN(60)) }

// offered is the PIN, or one that is not.
func offered(right string, honest bool) string {
	if honest {
		return right
	}
	wrong := []byte(right)
	wrong[0] = '0' + (wrong[0]-'0'+1)%10
	return string(wrong)
}

// guess foretells what comes of one: where it is right, an event of a type and a PIN.
func (h *holder) guess(r request, right bool, matched pin.EventType, chosen string) errand {
	now := h.state
	var e errand
	switch {
	case now.left == 0:
		e = errand{r, heard{http.StatusOK, "blocked", 0}, "", now}
	case right:
		e = errand{r, heard{http.StatusOK, "match", tryLimit}, matched, state{chosen, tryLimit}}
	default:
		e = errand{r, heard{http.StatusOK, "mismatch", now.left - 1}, pin.EventPINFailed, state{now.pin, now.left - 1}}
	}
	if r.by == "networkintl" {
		e.answer = heard{http.StatusOK, map[bool]string{true: "000", false: "889"}[e.answer.outcome == "match"], 0}
	}
	return e
}

// look holds what the holder knows against the server and its trail.
func (h *holder) look(t *testing.T, s *store.Store, server string) {
	t.Helper()
	require.Empty(t, h.wrong)
	c := h.trail.read(t, s)
	var keyed *errand
	for _, e := range h.acknowledged {
		e.once(t, c, "acknowledged")
		if e.repeatable() {
			keyed = &e
		}
	}
	if e := h.lost; e != nil {
		require.LessOrEqual(t, len(c.fates[e.trace]), 1, "what was not answered was done once at the most: %s", e.path)
		done := len(c.fates[e.trace]) == 1
		if e.repeatable() {
			answer, err := h.send(t.Context(), server, e.request)
			require.NoError(t, err)
			require.Equal(t, e.answer, answer, "the repetition of what was not answered (done: %t): %s", done, e.path)
			h.reread(t, s, c)
			e.once(t, c, "repeated")
			done = true
		}
		if done {
			h.state = e.after
		}
	}
	if keyed != nil {
		answer, err := h.send(t.Context(), server, keyed.request)
		require.NoError(t, err)
		require.Equal(t, keyed.answer, answer, "the repetition of what was acknowledged: %s", keyed.path)
		h.reread(t, s, c)
		keyed.once(t, c, "acknowledged and repeated")
	}
	require.Equal(t, h.state.left, h.left(t, server, h.card), "tries")
	require.Equal(t, h.state.left, h.trail.left, "tries by the trail")
	if h.state.pin != h.reveal(t, server, h.card) {
		t.Fatal("the PIN is not the one that the trail and the answers tell of")
	}
	h.trail.read(t, s)
}

// reread adds what the trail tells since.
func (h *holder) reread(t *testing.T, s *store.Store, c chapter) {
	t.Helper()
	for trace, fates := range h.trail.read(t, s).fates {
		c.fates[trace] = append(c.fates[trace], fates...)
	}
}

// once fails the test unless the trail tells of an errand once, if it tells of it at all.
func (e errand) once(t *testing.T, c chapter, what string) {
	t.Helper()
	if e.event == "" {
		require.LessOrEqual(t, len(c.fates[e.trace]), 1, "%s: %s", what, e.path)
		return
	}
	require.Len(t, c.fates[e.trace], 1, "%s: %s", what, e.path)
	require.Equal(t, e.event, c.fates[e.trace][0].event, "%s: %s", what, e.path)
}

// knocker guesses at a card that others guess at too.
type knocker struct {
	*crowd
	card    plastic
	right   string
	answers map[request]heard
}

// knock guesses until there is no answer.
func (k *knocker) knock(ctx context.Context, t *testing.T, server string, answered func()) {
	t.Helper()
	k.answers = map[request]heard{}
	r := k.unblock(k.card)
	for {
		answer, err := k.send(ctx, server, r)
		if err != nil {
			return
		}
		answered()
		k.answers[r] = answer
		if r = k.verify(t, k.card, offered(k.right, rand.IntN(3) == 0)); answer.outcome == "blocked" {
			r = k.unblock(k.card)
		}
	}
}
