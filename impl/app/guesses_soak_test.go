package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/pin"
	"pinvault/impl/store"
)

// Guesses at one card from many connections at once, by the issuer, through Network International's contract
// and on the hosted page, to one or two processes: exactly the limit takes a try, and everybody is told
// what the trail tells.
func TestHoweverManyGuessAtOnceTheLimitIsExact(t *testing.T) {
	t.Parallel()
	for name, database := range databases {
		for processes := 1; processes <= 2; processes++ {
			t.Run(fmt.Sprintf("%d on %s", processes, name), func(t *testing.T) {
				t.Parallel()
				newGuessers(t, database(t), processes).play(t)
			})
		}
	}
}

// guessers guess at one card.
type guessers struct {
	*crowd
	servers []string
	pages   []*contracttest.Client // of the servers
	store   *store.Store
	trail   *trail
	card    plastic
}

func newGuessers(t *testing.T, url string, processes int) *guessers {
	t.Helper()
	g := &guessers{}
	for range processes {
		p := apptest.Serve(t, nil, "--sandbox", "--database-url", url)
		g.servers, g.pages = append(g.servers, p.URL), append(g.pages, apptest.Client(t, p.URL))
	}
	g.crowd = newCrowd(t, g.servers[0])
	g.card = g.crowd.card("normal")
	g.store, g.trail = apptest.OpenStore(t, url), newTrail(g.card)
	return g
}

// The PIN of the card, and one that is not.
const (
	rightPIN = "7010"
	wrongPIN = "9182"
)

func (g *guessers) play(t *testing.T) {
	t.Helper()
	for range repetitions(20, 200) {
		g.wrong(t)
		g.oneRight(t)
	}
	g.allRight(t)
}

// unblocked gives all tries back, and what the trail has told so far is read.
func (g *guessers) unblocked(t *testing.T) {
	t.Helper()
	g.must(t, g.servers[0], g.unblock(g.card), http.StatusNoContent)
	g.trail.read(t, g.store)
}

// twelve are wrong guesses, four by each way, some of them in blocks that do not open. The holder of each of
// two links makes two of them.
func (g *guessers) twelve(t *testing.T) []request {
	t.Helper()
	links := make([]apptest.Session, 2)
	for i := range links {
		at := g.pages[i%len(g.pages)]
		links[i] = apptest.NewLink(t, at, "changepin", g.card.number).Exchange(t, at)
	}
	all := make([]request, 0, 12)
	for i := range 4 {
		byIssuer, byNetwork := g.verify(t, g.card, wrongPIN), g.change(t, g.card, wrongPIN, "4826")
		if i == 0 {
			byIssuer, byNetwork = g.verifyJunk(g.card), g.changeJunk(t, g.card)
		}
		all = append(all, byIssuer, byNetwork, current(t, links[i%2], wrongPIN))
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// together sends the requests at once, each to another server than the one before, and holds what each was told
// against the trail.
func (g *guessers) together(t *testing.T, all []request) ([]heard, chapter) {
	t.Helper()
	answers, errs := make([]heard, len(all)), make([]error, len(all))
	var wait sync.WaitGroup
	for i, r := range all {
		wait.Go(func() {
			answers[i], errs[i] = g.send(context.WithoutCancel(t.Context()), g.servers[i%len(g.servers)], r)
		})
	}
	wait.Wait()
	c := g.trail.read(t, g.store)
	for i, r := range all {
		require.NoError(t, errs[i])
		c.agrees(t, r, answers[i])
	}
	require.Equal(t, g.trail.left, g.left(t, g.servers[0], g.card), "tries by the trail, and by the status call")
	return answers, c
}

func (g *guessers) wrong(t *testing.T) {
	t.Helper()
	g.unblocked(t)
	_, c := g.together(t, g.twelve(t))
	require.Equal(t, tryLimit, c.wrong)
	require.Zero(t, c.restored)
}

// oneRight puts a right guess among the wrong ones. It is told so, or came when no tries were left.
func (g *guessers) oneRight(t *testing.T) {
	t.Helper()
	g.unblocked(t)
	all := g.twelve(t)
	i := rand.IntN(len(all))
	switch all[i].by {
	case "issuer":
		all[i] = g.verify(t, g.card, rightPIN)
	case "networkintl":
		all[i] = g.change(t, g.card, rightPIN, rightPIN)
	default:
		at := g.pages[i%len(g.pages)]
		all[i] = current(t, apptest.NewLink(t, at, "changepin", g.card.number).Exchange(t, at), rightPIN)
	}
	answers, c := g.together(t, all)
	if len(c.fates[all[i].trace]) == 0 || c.fates[all[i].trace][0].outcome == string(pin.Exhausted) {
		require.True(t, c.empty, "told %s although tries were left", answers[i].outcome)
		require.Zero(t, c.restored)
		return
	}
	require.Equal(t, 1, c.restored, "told %s", answers[i].outcome)
}

// allRight sends right PINs alone.
func (g *guessers) allRight(t *testing.T) {
	t.Helper()
	g.unblocked(t)
	all := make([]request, 400)
	for i := range all {
		all[i] = g.verify(t, g.card, rightPIN)
	}
	answers, c := g.together(t, all)
	for _, answer := range answers {
		require.Equal(t, heard{http.StatusOK, "match", tryLimit}, answer)
	}
	require.Equal(t, len(all), c.restored)
}
