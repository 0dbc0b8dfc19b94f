package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// anywhere is a break at some byte of a round trip or of its answer.
func anywhere(random *rand.Rand) *breakage {
	switch random.IntN(4) {
	case 0:
		return &breakage{sent: random.IntN(100)}
	case 1:
		return &breakage{sent: all, answered: random.IntN(100)}
	}
	return allKindsOfBreaks[random.IntN(len(allKindsOfBreaks))]
}

// swaps are how a change reaches the server: its last word is the one that makes it.
var swaps = []struct {
	name  string
	words []string
	swap  func(s *Store, c pin.Change) error
}{
	{"one statement", []string{"moved AS ("}, func(s *Store, c pin.Change) error { return s.Swap(context.Background(), drawn(c)) }},
	{"swap_card", []string{"swap_card("}, func(s *Store, c pin.Change) error { return s.Swap(context.Background(), c) }},
	{"statements", []string{"begin", "UPDATE", "INSERT", "commit"}, func(s *Store, c pin.Change) error {
		c.DetailsToo, c.Add = true, []pin.Lookup{{Kind: pin.KindURN, Value: fmt.Sprintf("%x", c.Card.Seal), ProgramID: "program", CardID: c.Card.ID}}
		return s.Swap(context.Background(), c)
	}},
	{"under the lock", []string{"begin", "FOR UPDATE", "swap_card(", "commit"}, func(s *Store, c pin.Change) error {
		return s.Locked(context.Background(), c.Card.ID, func(pin.CardRow) (pin.Change, error) { return c, nil })
	}},
}

// drawn is a change whose events say when their ids were drawn, as those of the vault do.
func drawn(c pin.Change) pin.Change {
	c.Events = slices.Clone(c.Events)
	if len(c.Events) == 0 {
		c.Events = eventsOf(c.Card.ID, c.Card.Revision, 1)
	}
	for i, e := range c.Events {
		if _, says := pin.EventDrawn(e.ID); !says {
			c.Events[i].ID = uuid.Must(uuid.NewV7()).String()
		}
	}
	return c
}

// However the line breaks while a change is made: what was made, or may have been, is in doubt, what is not in
// doubt was not made, and the same change once more finds out.
func TestAChangeIsInDoubtWhereverItMayHaveBeenMade(t *testing.T) {
	for _, way := range swaps {
		t.Run(way.name, func(t *testing.T) {
			l := lineTo(t, storetest.Postgres(t))
			s, random := open(t, l.url), rand.New(rand.NewPCG(1, 2))
			seed(t, s, 1)
			known, madeInDoubt, notMade := 0, 0, 0
			for revisionNow := int64(2); revisionNow < int64(storetest.Times(40, 500))+2; revisionNow++ {
				last := way.words[len(way.words)-1]
				word, b := last, anywhere(random)
				if random.IntN(2) == 0 {
					word = way.words[random.IntN(len(way.words))]
				}
				l.breakOnce(word, b)
				c := pin.Change{Card: revision("card-0", revisionNow), Events: eventsOf("card-0", revisionNow, 1)}
				c.Card.Seal = []byte{byte(revisionNow), byte(revisionNow >> 8), 'x'}
				err := way.swap(s, c)
				l.listen(nil)
				// The first may still be under way: then this one waits for it, or comes before it.
				again := way.swap(s, c)
				switch {
				case err == nil:
					known++
					require.Equal(t, pin.Conflict, pin.CodeOf(again), "%v", again)
				case again == nil:
					notMade++
				default:
					madeInDoubt++
					require.Equal(t, pin.Conflict, pin.CodeOf(again), "%v", again)
					require.ErrorIs(t, err, pin.ErrInDoubt)
				}
				if err != nil {
					require.Equal(t, pin.Unavailable, pin.CodeOf(err))
				}
				if word == last && b.answered == 0 {
					require.ErrorIs(t, err, pin.ErrInDoubt, "it may have been made")
				}
				require.Equal(t, revisionNow, card(t, s, "card-0").Revision)
			}
			events, err := s.ChainEvents(context.Background(), "card-0", 0, 10_000)
			require.NoError(t, err)
			require.Len(t, events, storetest.Times(40, 500)+1)
			t.Logf("%d made and told, %d made and in doubt, %d not made", known, madeInDoubt, notMade)
			require.Positive(t, madeInDoubt)
			require.Positive(t, notMade)
		})
	}
}

func TestWhatIsInDoubtIsNotTriedAgain(t *testing.T) {
	l := lineTo(t, storetest.Postgres(t))
	s := open(t, l.url)
	seed(t, s, 1)
	next := func() pin.Change {
		now := card(t, s, "card-0").Revision + 1
		c := pin.Change{Card: revision("card-0", now)}
		c.Card.Seal = fmt.Append(nil, now)
		return c
	}
	for _, way := range swaps {
		for name, b := range map[string]*breakage{"before it arrives": beforeItArrives, "before the answer": beforeTheAnswer, "without noticing": withoutNoticing} {
			t.Run(way.name+" "+name, func(t *testing.T) {
				require.NoError(t, way.swap(s, next())) // prepares the statements
				last := way.words[len(way.words)-1]
				times := 0
				l.listen(func(now trip) *breakage {
					if !now.says(last) {
						return nil
					}
					times++
					return b
				})
				c := next()
				err := way.swap(s, c)
				l.listen(nil)
				require.ErrorIs(t, err, pin.ErrInDoubt)
				require.Equal(t, pin.Unavailable, pin.CodeOf(err))
				require.Equal(t, 1, times)
				if err := way.swap(s, c); err != nil { // so that it is not under way any more
					require.Equal(t, pin.Conflict, pin.CodeOf(err), "%v", err)
				}
			})
		}
	}
}

func TestAChangeThatTheServerRefusedIsNotInDoubt(t *testing.T) {
	l := lineTo(t, storetest.Postgres(t))
	s := open(t, l.url)
	seed(t, s, 1)
	exec(t, s, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = TG_ARGV[0]; END $$`)
	for _, state := range []string{"53100", "57014", "25006", "40002", "23514", "XX000"} {
		exec(t, s, `CREATE CONSTRAINT TRIGGER refused AFTER UPDATE ON cards DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse('`+state+`')`)
		for _, way := range swaps { // where the refusal comes with the commit
			err := way.swap(s, pin.Change{Card: revision("card-0", 2), Events: eventsOf("card-0", 2, 1)})
			require.Error(t, err, "%s %s", state, way.name)
			require.NotErrorIs(t, err, pin.ErrInDoubt, "%s %s", state, way.name)
			require.EqualValues(t, 1, card(t, s, "card-0").Revision)
		}
		exec(t, s, `DROP TRIGGER refused ON cards`)
	}
}
