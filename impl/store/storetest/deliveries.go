package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
)

// endpoint is a webhook's row that wants topics.
func endpoint(id, programID, wants string) pin.Row {
	return pin.Row{Table: pin.TableWebhooks, ID: id, ProgramID: programID, Version: 1, Body: fmt.Appendf(nil, `{"wants":[%s],"state":"active"}`, wants), Seal: seal(id)}
}

// told are events of a chain with a topic, "" for none.
func told(chain string, first int64, topics ...string) []pin.EventRow {
	all := events(chain, first, len(topics))
	for i, topic := range topics {
		all[i].Topic = topic
	}
	return all
}

// at is the tests' time, so much later.
func at(later time.Duration) time.Time { return time.UnixMicro(now).Add(later) }

// queued are the places of what a webhook is to be sent, by chain.
func queued(t require.TestingT, s Store, webhookID string) (all []string) {
	found, err := s.Deliveries(context.Background(), webhookID, "", "", 1000)
	require.NoError(t, err)
	for _, d := range found {
		all = append(all, fmt.Sprintf("%s %d", d.Chain, d.Seq))
	}
	slices.Sort(all)
	return all
}

// claim takes what is due, and returns its places.
func claim(t require.TestingT, s Store, webhookID string, when time.Time, limit int) (taken []pin.Delivery, places []string) {
	taken, err := s.ClaimDeliveries(context.Background(), webhookID, when, time.Minute, limit)
	require.NoError(t, err)
	for _, d := range taken {
		places = append(places, fmt.Sprintf("%s %d", d.Chain, d.Seq))
	}
	slices.Sort(places)
	return taken, places
}

// settled is a delivery in another state.
func settled(d pin.Delivery, state pin.DeliveryState, due, done time.Time) pin.Delivery {
	d.State, d.DueAt, d.DoneAt, d.Status, d.Failure = state, due.UnixMicro(), 0, 503, "status"
	if !done.IsZero() {
		d.DoneAt = done.UnixMicro()
	}
	return d
}

var deliveryTests = []test{
	{"an event is queued for each webhook that wants it, of its program and of the whole server", func(t *testing.T, s Store) {
		withCards(t, s, "a")
		swap(t, s, pin.Change{Rows: []pin.Row{endpoint("sets", "program", `"on pin.set"`), endpoint("all", "program", `"on *"`), endpoint("server", "", `"on pin.set"`),
			endpoint("other", "other", `"on *"`), endpoint("blocks", "program", `"on pin.blocked"`), endpoint("tested", "program", `"only tested"`)}})
		c := newCard("a")
		swap(t, s, pin.Change{Card: next(c), Events: told("a", 2, "on pin.set", "", "on pin.blocked"), Now: now})
		swap(t, s, pin.Change{Card: next(*next(c)), DetailsToo: true, Events: told("a", 5, "only tested"), Add: []pin.Lookup{unique(pin.KindURN, "new", "a")}, Now: now})
		for id, want := range map[string][]string{"sets": {"a 2"}, "server": {"a 2"}, "all": {"a 2", "a 4"}, "blocks": {"a 4"}, "other": nil, "tested": {"a 5"}} {
			if id == "all" { // which is told of a test too, and sees that it is not its own
				want = append(want, "a 5")
			}
			require.Equal(t, want, queued(t, s, id), id)
		}
		found, err := s.Deliveries(context.Background(), "sets", pin.DeliveryPending, "", 10)
		require.NoError(t, err)
		require.Equal(t, []pin.Delivery{{Chain: "a", WebhookID: "sets", Seq: 2, EventID: "a event 002", State: pin.DeliveryPending, DueAt: now, CreatedAt: now}}, found)
	}},
	{"nothing is queued of a change that was overtaken", func(t *testing.T, s Store) {
		withCards(t, s, "a")
		swap(t, s, pin.Change{Rows: []pin.Row{endpoint("w", "program", `"on *"`)}})
		c := next(newCard("a"))
		swap(t, s, pin.Change{Card: c, Events: told("a", 2, "on x"), Now: now})
		requireCode(t, try(s, pin.Change{Card: c, Events: told("a", 2, "on x"), Now: now}), pin.Conflict, "card")
		require.Equal(t, []string{"a 2"}, queued(t, s, "w"))
	}},
	{"of a chain the first that is pending is taken, and for as long as the lease", func(t *testing.T, s Store) {
		queueThree(t, s)
		due, err := s.DueWebhooks(context.Background(), at(0))
		require.NoError(t, err)
		require.Equal(t, []string{"w"}, due)
		taken, places := claim(t, s, "w", at(0), 10)
		require.Equal(t, []string{"a 2", "b 2"}, places)
		require.Equal(t, []int64{1, now, at(time.Minute).UnixMicro()}, []int64{taken[0].Attempts, taken[0].FirstAt, taken[0].DueAt})
		_, places = claim(t, s, "w", at(time.Second), 10)
		require.Empty(t, places)
		again, places := claim(t, s, "w", at(time.Minute), 1)
		require.Len(t, places, 1)
		require.EqualValues(t, 2, again[0].Attempts)
		require.Equal(t, now, again[0].FirstAt, "as before")
	}},
	{"the next one is due when the one before was taken, not while it is tried again", func(t *testing.T, s Store) {
		queueThree(t, s)
		taken, _ := claim(t, s, "w", at(0), 10)
		byChain := map[string]pin.Delivery{}
		for _, d := range taken {
			byChain[d.Chain] = d
		}
		require.NoError(t, s.SettleDelivery(context.Background(), settled(byChain["a"], pin.DeliveryPending, at(time.Second), time.Time{})))
		require.NoError(t, s.SettleDelivery(context.Background(), settled(byChain["b"], pin.DeliveryDelivered, at(0), at(0))))
		_, places := claim(t, s, "w", at(time.Millisecond), 10)
		require.Empty(t, places)
		taken, places = claim(t, s, "w", at(time.Second), 10)
		require.Equal(t, []string{"a 2"}, places)
		require.NoError(t, s.SettleDelivery(context.Background(), settled(taken[0], pin.DeliveryParked, at(0), at(0))))
		_, places = claim(t, s, "w", at(time.Second), 10)
		require.Equal(t, []string{"a 3"}, places)
	}},
	{"who has lost the lease changes nothing", func(t *testing.T, s Store) {
		queueThree(t, s)
		slow, _ := claim(t, s, "w", at(0), 10)
		claim(t, s, "w", at(time.Hour), 10)
		require.NoError(t, s.SettleDelivery(context.Background(), settled(slow[0], pin.DeliveryDelivered, at(0), at(0))))
		left, err := s.Deliveries(context.Background(), "w", pin.DeliveryPending, "", 10)
		require.NoError(t, err)
		require.Len(t, left, 3)
	}},
	{"however many ask at once, each delivery is taken by one", func(t *testing.T, s Store) {
		const cards = 30
		swap(t, s, pin.Change{Rows: []pin.Row{endpoint("w", "program", `"on *"`)}})
		for i := range cards {
			id := fmt.Sprintf("card-%02d", i)
			swap(t, s, pin.Change{Events: told(id, 1, "on x"), Now: now})
		}
		var mu sync.Mutex
		var all []string
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for range 4 {
					taken, err := s.ClaimDeliveries(context.Background(), "w", at(0), time.Minute, 3)
					if err != nil {
						return
					}
					mu.Lock()
					for _, d := range taken {
						all = append(all, d.Chain)
					}
					mu.Unlock()
				}
			})
		}
		wait.Wait()
		unique := slices.Compact(slices.Sorted(slices.Values(all)))
		require.Len(t, all, len(unique), "none twice")
		_, rest := claim(t, s, "w", at(0), cards)
		require.Len(t, rest, cards-len(unique))
	}},
	{"what was delivered or parked is queued again, what is pending stays", func(t *testing.T, s Store) {
		queueThree(t, s)
		taken, _ := claim(t, s, "w", at(0), 10)
		require.NoError(t, s.SettleDelivery(context.Background(), settled(taken[0], pin.DeliveryDelivered, at(0), at(0))))
		some, err := s.DeliveredSince(context.Background(), "w", at(0))
		require.NoError(t, err)
		require.True(t, some)
		again := []pin.Delivery{taken[0], taken[1], {Chain: "c", WebhookID: "w", Seq: 1, EventID: "c event 001"}}
		for i := range again {
			again[i].DueAt, again[i].CreatedAt = at(time.Second).UnixMicro(), at(time.Second).UnixMicro()
		}
		require.NoError(t, s.QueueDeliveries(context.Background(), again))
		_, places := claim(t, s, "w", at(time.Second), 10)
		require.ElementsMatch(t, []string{taken[0].Chain + " 2", "c 1"}, places, "the lease of the other lasts")
		some, err = s.DeliveredSince(context.Background(), "w", at(0))
		require.NoError(t, err)
		require.False(t, some)
	}},
	{"what has ended is purged in time, what waits later, and all of a webhook at once", func(t *testing.T, s Store) {
		queueThree(t, s)
		taken, _ := claim(t, s, "w", at(0), 10)
		require.NoError(t, s.SettleDelivery(context.Background(), settled(taken[0], pin.DeliveryDelivered, at(0), at(time.Hour))))
		waiting, err := s.WaitingDeliveries(context.Background())
		require.NoError(t, err)
		require.Equal(t, []pin.Waiting{{WebhookID: "w", Count: 2, Oldest: now}}, waiting)
		for _, step := range []struct {
			done, made time.Time
			want       int64
		}{{at(time.Hour), at(0), 0}, {at(2 * time.Hour), at(0), 1}, {at(0), at(time.Second), 2}, {at(0), at(time.Second), 0}} {
			n, err := s.PurgeDeliveries(context.Background(), step.done, step.made)
			require.NoError(t, err)
			require.Equal(t, step.want, n)
		}
		swap(t, s, pin.Change{Events: told("c", 1, "on x"), Now: now})
		require.NoError(t, s.DropDeliveries(context.Background(), "another"))
		require.Equal(t, []string{"c 1"}, queued(t, s, "w"))
		require.NoError(t, s.DropDeliveries(context.Background(), "w"))
		require.Empty(t, queued(t, s, "w"))
	}},
	{"deliveries come in pages, the newest first, of a state or of any", func(t *testing.T, s Store) {
		queueThree(t, s)
		claim(t, s, "w", at(0), 10)
		page, err := s.Deliveries(context.Background(), "w", "", "", 2)
		require.NoError(t, err)
		require.Equal(t, []string{"b event 002", "a event 003"}, []string{page[0].EventID, page[1].EventID})
		page, err = s.Deliveries(context.Background(), "w", "", page[1].EventID, 2)
		require.NoError(t, err)
		require.Len(t, page, 1)
		page, err = s.Deliveries(context.Background(), "w", pin.DeliveryParked, "", 2)
		require.NoError(t, err)
		require.Empty(t, page)
	}},
	{"sessions and approvals are found when their time is over", func(t *testing.T, s Store) {
		withCards(t, s, "card")
		swap(t, s, beside(nil, newRow(pin.TableSessions, "session"), newRow(pin.TableApprovals, "approval")))
		for _, asked := range []struct {
			after, until time.Time
			want         int
		}{{at(0), at(time.Hour), 1}, {at(0), at(time.Hour - time.Microsecond), 0}, {at(time.Hour), at(2 * time.Hour), 0}} {
			for _, table := range []pin.Table{pin.TableSessions, pin.TableApprovals} {
				found, err := s.Expired(context.Background(), table, asked.after, asked.until, 10)
				require.NoError(t, err)
				require.Len(t, found, asked.want)
			}
		}
	}},
}

// queueThree queues two events of the card a and one of the card b for the webhook w.
func queueThree(t *testing.T, s Store) {
	t.Helper()
	withCards(t, s, "a", "b")
	swap(t, s, pin.Change{Rows: []pin.Row{endpoint("w", "program", `"on *"`)}})
	swap(t, s, pin.Change{Card: next(newCard("a")), Events: told("a", 2, "on x", "on y"), Now: now})
	swap(t, s, pin.Change{Card: next(newCard("b")), Events: told("b", 2, "on x"), Now: now})
}
