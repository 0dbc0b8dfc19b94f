package app_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
)

// A caller that hangs up at any moment leaves the counter as the audit trail tells it: what it asked for
// was done and told there, or neither.
func TestWhoeverHangsUpTheCounterAgreesWithTheTrail(t *testing.T) {
	t.Parallel()
	for name, database := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := apptest.Start(t, database(t))
			c := newCrowd(t, h.URL)
			i := &impatient{crowd: c, server: h, card: c.card("normal")}
			i.trail = newTrail(i.card)
			i.play(t)
		})
	}
}

// impatient is a caller that seldom waits for an answer.
type impatient struct {
	*crowd
	server *apptest.Server
	card   plastic
	trail  *trail
}

func (i *impatient) play(t *testing.T) {
	t.Helper()
	i.settled(t) // with what the sandbox told of the card
	answered, done := 0, 0
	hungUp := map[string]bool{} // by trace
	for range repetitions(60, 1000) {
		if i.trail.left == 0 {
			i.must(t, i.server.URL, i.unblock(i.card), http.StatusNoContent)
		}
		r := i.anything(t)
		moment, cancel := context.WithTimeout(t.Context(), rand.N(5*time.Millisecond))
		answer, err := i.send(moment, i.server.URL, r)
		cancel()
		c := i.settled(t)
		if err != nil {
			hungUp[r.trace] = true
		} else {
			answered++
			require.Less(t, answer.status, http.StatusInternalServerError, r.by)
		}
		for trace, fates := range c.fates {
			require.Len(t, fates, 1, "what is done is done once")
			if hungUp[trace] {
				done++
				delete(hungUp, trace)
			}
		}
	}
	undone := len(hungUp)
	t.Logf("%d were answered, %d hung up on what was done, %d on what was not", answered, done, undone)
	if long() { // enough to have met each
		require.Positive(t, answered)
		require.Positive(t, done)
		require.Positive(t, undone)
	}
}

// settled reads the trail to its end and holds the status call against it. What somebody hung up on may
// still be under way: then the trail grows between the readings, and they are made again.
func (i *impatient) settled(t *testing.T) chapter {
	t.Helper()
	c := i.trail.read(t, i.server.Store)
	for {
		left := i.left(t, i.server.URL, i.card)
		more := i.trail.read(t, i.server.Store)
		if len(more.fates) == 0 {
			require.Equal(t, i.trail.left, left, "tries by the trail, and by the status call")
			return c
		}
		for trace, fates := range more.fates {
			c.fates[trace] = append(c.fates[trace], fates...)
		}
	}
}

// anything is one of the calls that touch the counter, or the PIN beside it.
func (i *impatient) anything(t *testing.T) request {
	t.Helper()
	digits := rightPIN
	if rand.IntN(3) > 0 {
		digits = wrongPIN
	}
	switch rand.IntN(7) {
	case 0:
		return i.verifyJunk(i.card)
	case 1:
		return i.change(t, i.card, digits, rightPIN)
	case 2:
		asked := apptest.AskLink(t, i.server.Client, "changepin", i.card.number, uuid.NewString())
		if asked.Status != http.StatusOK { // what somebody hung up on has blocked the card since
			return i.unblock(i.card)
		}
		return current(t, apptest.ParseLink(t, asked.Text("/data/0/set_pin_url")).Exchange(t, i.server.Client), digits)
	case 3:
		return i.unblock(i.card)
	case 4:
		return i.setByThredd(i.card, rightPIN).keyed(threddKey)
	case 5:
		return i.verify(t, i.card, digits).keyed(issuerKey)
	default:
		return i.verify(t, i.card, digits)
	}
}
