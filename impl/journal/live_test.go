package journal_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/generated/sandbox"
	"pinvault/impl/journal"
	"pinvault/impl/pin"
)

// stage is a journal whose streams are served over HTTP, and whose time ticks when the test says so.
type stage struct {
	*journal.Journal
	ticks chan time.Time
	url   string
	ended chan error // of each stream that has ended
}

func staged(t *testing.T, watch journal.Watch) *stage {
	t.Helper()
	s := &stage{ticks: make(chan time.Time), ended: make(chan error, 10)}
	s.Journal = journal.New(journal.Options{Reader: reader(t), Ticks: func() (<-chan time.Time, func()) { return s.ticks, func() {} }})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ended <- s.Live(r.Context(), w, watch) }))
	server.Config.WriteTimeout, server.Config.ReadTimeout = time.Nanosecond, time.Minute // a stream is not bound by it
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	s.url = server.URL
	return s
}

// call keeps a call of a client that found a card.
func (s *stage) call(t *testing.T, client, card string) {
	t.Helper()
	call(t, s.Journal, func(_ http.ResponseWriter, r *http.Request) {
		journal.From(r.Context()).NoteClient(client)
		journal.From(r.Context()).NoteFound(pin.CardRow{ID: card})
	}, http.MethodGet, "/a", "")
}

// events are those of a stream, one after the other; "" when it has ended.
func (s *stage) events(t *testing.T) (next func() string, hangUp func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	lines := bufio.NewScanner(response.Body)
	next = func() string {
		var event []string
		for lines.Scan() && lines.Text() != "" {
			event = append(event, lines.Text())
		}
		return strings.Join(event, "\n")
	}
	require.Equal(t, ": journal", next())
	return next, cancel
}

func entryOf(t *testing.T, event string) (id string, e sandbox.Entry) {
	t.Helper()
	parts := strings.Split(event, "\n")
	require.Len(t, parts, 3, event)
	require.Equal(t, "event: entry", parts[1])
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(parts[2], "data: ")), &e))
	return strings.TrimPrefix(parts[0], "id: "), e
}

func TestAStreamTellsEachCallAsItWasAnswered(t *testing.T) {
	t.Parallel()
	s := staged(t, journal.Watch{})
	s.call(t, "before", "")
	next, _ := s.events(t)
	for _, client := range []string{"a", "b"} {
		s.call(t, client, "")
		id, e := entryOf(t, next())
		require.Equal(t, client, *e.Client)
		require.Equal(t, map[string]string{"a": "2", "b": "3"}[client], id)
	}
	s.ticks <- time.Time{}
	require.Equal(t, ":", strings.TrimSpace(next()), "it is still there")
	s.Close()
	require.Empty(t, next())
	require.NoError(t, <-s.ended)
}

func TestAStreamEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	s := staged(t, journal.Watch{})
	_, hangUp := s.events(t)
	hangUp()
	require.NoError(t, <-s.ended)
}

func TestAStreamThatWasAskedForTooLateEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := staged(t, journal.Watch{})
	s.Close()
	next, _ := s.events(t)
	require.Empty(t, next())
}

func TestAStreamGoesOnWhereItsCallerWas(t *testing.T) {
	t.Parallel()
	for seen, want := range map[int64][]string{0: {"1", "2", "3"}, 1: {"2", "3"}, 2: {"3"}, 9: {"1", "2", "3"}} { // 9 is of a journal before
		s := staged(t, journal.Watch{Seen: &seen, Count: new(len(want))})
		for range 3 {
			s.call(t, "a", "")
		}
		next, _ := s.events(t)
		for _, id := range want {
			got, _ := entryOf(t, next())
			require.Equal(t, id, got)
		}
		require.Empty(t, next())
		require.NoError(t, <-s.ended)
	}
}

func TestWhatIsNoLongerKeptIsNotMissedAtFirst(t *testing.T) {
	t.Parallel()
	s := staged(t, journal.Watch{Seen: new(int64(1)), Count: new(1)})
	for range 1005 {
		s.call(t, "a", "")
	}
	next, _ := s.events(t)
	id, _ := entryOf(t, next())
	require.Equal(t, "6", id)
}

func TestAStreamTellsWhatItsFilterChooses(t *testing.T) {
	t.Parallel()
	s := staged(t, journal.Watch{Filter: journal.Filter{Client: "a", Card: "c1"}, Count: new(1)})
	next, _ := s.events(t)
	s.call(t, "a", "c2")
	s.call(t, "b", "c1")
	s.call(t, "a", "c1")
	id, e := entryOf(t, next())
	require.Equal(t, "3", id)
	require.Equal(t, "normal", *e.Cards[0].Name)
	require.Empty(t, next(), "one was asked for")
}

func TestAStreamOfNoneEndsAtOnce(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	j := fresh(t)
	require.NoError(t, j.Live(t.Context(), w, journal.Watch{Count: new(0), Seen: new(int64(0))}))
	require.Equal(t, ": journal\n\n", w.Body.String())
}

func TestAStreamGoesOnWhenTheJournalIsEmptied(t *testing.T) {
	t.Parallel()
	s := staged(t, journal.Watch{})
	s.call(t, "a", "")
	next, _ := s.events(t)
	s.Clear()
	s.call(t, "b", "")
	id, _ := entryOf(t, next())
	require.Equal(t, "2", id)
	s.Reset()
	s.call(t, "c", "")
	id, _ = entryOf(t, next())
	require.Equal(t, "1", id)
}

// stuck is a caller who reads when he is told to, and says that there is something to read.
type stuck struct {
	*httptest.ResponseRecorder
	offered, taken chan struct{}
}

func (s *stuck) WriteString(text string) (int, error) {
	s.offered <- struct{}{}
	<-s.taken
	return s.ResponseRecorder.WriteString(text)
}

func TestASlowReaderIsDroppedAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := staged(t, journal.Watch{})
	slow := &stuck{httptest.NewRecorder(), make(chan struct{}, 10), make(chan struct{})}
	ended := make(chan error)
	go func() { ended <- s.Live(t.Context(), slow, journal.Watch{}) }()
	<-slow.offered
	slow.taken <- struct{}{} // the first line
	s.call(t, "a", "")
	<-slow.offered // the first call
	for range 1100 {
		s.call(t, "a", "")
	}
	close(slow.taken)
	require.ErrorContains(t, <-ended, "slow")
}

// Under the race detector: many call, watch, list and empty at once, and each stream tells what comes in order, once.
func TestManyCallAndWatchAtOnce(t *testing.T) {
	t.Parallel()
	const callers, calls = 8, 100
	s := staged(t, journal.Watch{Count: new(callers * calls)})
	var watching, calling sync.WaitGroup
	for range 3 {
		next, _ := s.events(t)
		watching.Go(func() {
			last := ""
			for range callers * calls {
				id, _ := entryOf(t, next())
				if len(id) < len(last) || len(id) == len(last) && id <= last {
					t.Errorf("%s after %s", id, last)
				}
				last = id
			}
		})
	}
	for range callers {
		calling.Go(func() {
			for i := range calls {
				s.call(t, "a", "c1")
				if i%10 == 0 {
					s.List(journal.Filter{Row: "x", Limit: 3})
				}
			}
		})
	}
	calling.Wait()
	watching.Wait()
}
