package store

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// follower goes on after the last event that it was handed out, again and again.
type follower struct {
	mu   sync.Mutex
	seen []string
}

func (f *follower) follow(ctx context.Context, s *Store) {
	for after := ""; ctx.Err() == nil; {
		all, err := s.Events(ctx, pin.AuditQuery{Settled: true, Page: pin.Page{After: after, Limit: 3}})
		if err != nil { // SQLite's writer is at work
			continue
		}
		f.mu.Lock()
		for _, e := range all {
			after = e.ID
			f.seen = append(f.seen, e.ID)
		}
		f.mu.Unlock()
		<-time.After(time.Millisecond)
	}
}

func (f *follower) ids() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// drawnAgo is the id of an event, as one is that was drawn so long ago.
func drawnAgo(s *Store, ago time.Duration) string {
	id := []byte(pin.EventsFrom(s.Now().Add(-ago)))
	id[14] = '7'
	return string(id)
}

// A transaction is held open that has the older event, while others with later ones come and are committed, by another process. Who
// goes on after the last event is handed out each of them, once, in the order of their ids.
func TestAnEventThatIsLongInComingIsNotPassedOver(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := database(t)
			s, other, readers := open(t, at), open(t, at), open(t, at)
			write := func(chain string, id string) pin.Change {
				return pin.Change{Events: []pin.EventRow{{Chain: chain, Seq: 1, ID: id, Body: []byte("{}"), MAC: []byte{1}}}}
			}
			held, before, meanwhile := drawnAgo(s, 4500*time.Millisecond), drawnAgo(s, 4400*time.Millisecond), drawnAgo(s, 4300*time.Millisecond)
			require.NoError(t, other.Swap(t.Context(), write("before", before)))

			ctx, end := context.WithCancel(context.Background())
			var f follower
			var group sync.WaitGroup
			inside, release := make(chan struct{}), make(chan struct{})
			group.Go(func() {
				err := s.inTx(context.Background(), func(tx *tx) error {
					defer close(inside)
					err := tx.swap(write("held", held))
					inside <- struct{}{}
					<-release
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
			<-inside
			group.Go(func() { f.follow(ctx, readers) })
			want := []string{held, before}
			if !s.engine.oneWriter {
				require.NoError(t, other.Swap(t.Context(), write("meanwhile", meanwhile)))
				want = append(want, meanwhile)
			}
			require.Never(t, func() bool { return len(f.ids()) > 0 }, pin.EventSettled-4*time.Second, 10*time.Millisecond, "all are old enough by then")
			close(release)
			require.Eventually(t, func() bool { return len(f.ids()) >= len(want) }, 20*time.Second, 10*time.Millisecond)
			end()
			group.Wait()
			require.Equal(t, want, f.ids())
		})
	}
}

// Two servers of one database, and one has an old word of the database's clock, or its machine's was put: the first change that it makes
// finds that out, and what both write is in the order in which it happened to each card.
func TestIDsAreOfTheDatabasesTimeWhateverAServersClock(t *testing.T) {
	t.Parallel()
	at := storetest.Postgres(t)
	right, wrong := open(t, at), open(t, at)
	v := newVault(t, right)
	behind, _ := over(t, wrong)
	wrong.clock.seen.Store(&reading{said: time.Now().Add(-10 * time.Minute), at: time.Now()})
	for _, by := range []*pin.Vault{behind, v.Vault, behind} {
		v.pin = v.another()
		require.NoError(t, by.SetPIN(v.ctx, v.q, pin.Plain(v.digits(v.pin)), pin.Memo{}))
	}
	wrong.clock.seen.Store(&reading{said: time.Now().Add(-10 * time.Minute), at: time.Now()})
	p := pin.NewProgram("made by the other")
	_, err := behind.CreateProgram(operating(), p, pin.Memo{})
	require.NoError(t, err)
	wrong.clock.seen.Store(&reading{said: time.Now().Add(-10 * time.Minute), at: time.Now()})
	_, err = behind.CreateCard(v.ctx, pin.NewCard{PAN: "9999990000000022"}, pin.Memo{})
	require.NoError(t, err)
	require.WithinDuration(t, right.Now(), wrong.Now(), time.Second)

	all, err := right.ChainEvents(t.Context(), "", 0, 100)
	require.NoError(t, err)
	last := map[string]string{}
	for _, e := range all {
		drawn, says := pin.EventDrawn(e.ID)
		require.True(t, says)
		require.WithinDuration(t, right.Now(), drawn, time.Minute)
		require.Greater(t, e.ID, last[e.Chain], "the order of a chain is that of its ids")
		last[e.Chain] = e.ID
	}
	require.Len(t, all, 7, "two programs, two cards, three PINs")
}
