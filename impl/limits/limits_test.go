package limits_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/limits"
	"pinvault/impl/pin"
)

// clock is a time that a test sets.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

// table is a database of counters in memory, for any number of limiters.
type table struct {
	mu         sync.Mutex
	statements int
	block      int64     // of the last lease,
	at         time.Time // and its time
	taken      map[string]int64
	counts     map[string]pin.MismatchCount
	cards      map[string]map[string]bool
	err        error
}

func newTable() *table {
	return &table{taken: map[string]int64{}, counts: map[string]pin.MismatchCount{}, cards: map[string]map[string]bool{}}
}

func (t *table) Lease(_ context.Context, id string, limit, block int64, window time.Duration, at time.Time) (int64, time.Duration, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.statements++
	t.block, t.at = block, at
	if t.err != nil {
		return 0, 0, t.err
	}
	start := at.Truncate(window)
	of := fmt.Sprint(id, start.Unix())
	rest := limit - t.taken[of]
	granted := max(0, min(rest, max(1, min(block, rest/16))))
	t.taken[of] += granted
	return granted, start.Add(window).Sub(at), nil
}

func (t *table) CountVerifications(_ context.Context, n pin.MismatchCount, client string, cards []string, window time.Duration, at time.Time) (pin.MismatchCount, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.statements++
	if t.err != nil {
		return pin.MismatchCount{}, t.err
	}
	of := fmt.Sprint(client, n.BIN, at.Truncate(window).Unix())
	if t.cards[of] == nil {
		t.cards[of] = map[string]bool{}
	}
	for _, c := range cards {
		t.cards[of][c] = true
	}
	sum := t.counts[of]
	sum.BIN, sum.Verifications, sum.Mismatches, sum.Cards = n.BIN, sum.Verifications+n.Verifications, sum.Mismatches+n.Mismatches, int64(len(t.cards[of]))
	t.counts[of] = sum
	return sum, nil
}

func take(t *testing.T, l *limits.Limiter, kind pin.Limit, whom string, limit int64) time.Duration {
	t.Helper()
	wait, err := l.Take(t.Context(), kind, whom, limit)
	require.NoError(t, err)
	return wait
}

// admitted is how many of n are taken.
func admitted(t *testing.T, l *limits.Limiter, n int, limit int64) (count int64) {
	t.Helper()
	for range n {
		if take(t, l, pin.LimitRequests, "client", limit) == 0 {
			count++
		}
	}
	return count
}

func TestALimitIsForAWindow(t *testing.T) {
	t.Parallel()
	clock, db := newClock(), newTable()
	clock.pass(10 * time.Second)
	l := limits.New(db, clock.now)
	require.EqualValues(t, 5, admitted(t, l, 20, 5))
	require.Equal(t, 50*time.Second, take(t, l, pin.LimitRequests, "client", 5), "until the minute is over")
	require.Equal(t, 50*time.Second, l.Spent(pin.LimitRequests, "client", 5))
	require.Zero(t, take(t, l, pin.LimitRequests, "another", 5), "nobody takes what is another's")
	require.Zero(t, take(t, l, pin.LimitVerifications, "client", 5), "nor what is of another kind")
	clock.pass(50 * time.Second)
	require.Zero(t, l.Spent(pin.LimitRequests, "client", 5))
	require.EqualValues(t, 5, admitted(t, l, 20, 5), "the next minute")
	require.Zero(t, take(t, l, pin.LimitRequests, "client", 6), "a limit that was raised counts at once")
	require.Positive(t, take(t, l, pin.LimitRequests, "client", 6))
	require.Positive(t, take(t, l, pin.LimitRequests, "client", 4), "and so does one that was lowered")
}

func TestTheDatabaseIsAskedSeldom(t *testing.T) {
	t.Parallel()
	clock, db := newClock(), newTable()
	l := limits.New(db, clock.now)
	require.EqualValues(t, 100_000, admitted(t, l, 100_000, 100_000_000))
	require.Equal(t, 1, db.statements)
	db = newTable()
	l = limits.New(db, clock.now)
	require.EqualValues(t, 100_000, admitted(t, l, 110_000, 100_000))
	require.Less(t, db.statements, 500)
	before := db.statements
	admitted(t, l, 1000, 100_000)
	require.Equal(t, before, db.statements, "and not at all once there is no more")
}

// asks tells how many statements the database is asked while something is done.
func asks(db *table, do func()) int {
	before := db.statements
	do()
	return db.statements - before
}

func TestALeaseIsForItsWindowAndItsLimit(t *testing.T) {
	t.Parallel()
	clock, db := newClock(), newTable()
	l := limits.New(db, clock.now)
	one := func(whom string, limit int64) func() {
		return func() { require.Zero(t, take(t, l, pin.LimitRequests, whom, limit)) }
	}
	require.Equal(t, 1, asks(db, one("client", 100_000)))
	require.Equal(t, 1, asks(db, one("another", 100_000)))
	require.Zero(t, asks(db, one("client", 100_000)), "it has some left, whoever came between")
	require.Equal(t, 1, asks(db, one("client", 90_000)), "of another limit it is worth nothing")
	require.Zero(t, asks(db, one("client", 90_000)))
	clock.pass(time.Minute)
	require.Equal(t, 1, asks(db, one("client", 90_000)), "nor in the next window")
	l.Forget()
	require.Equal(t, 1, asks(db, one("client", 90_000)), "nor of a database that was put back")
}

func TestNothingIsSpentOfWhichTheDatabaseHasMore(t *testing.T) {
	t.Parallel()
	clock, db := newClock(), newTable()
	l := limits.New(db, clock.now)
	require.Zero(t, l.Spent(pin.LimitRequests, "client", 2), "nobody has asked")
	require.EqualValues(t, 1, admitted(t, l, 1, 2))
	require.Zero(t, l.Spent(pin.LimitRequests, "client", 2))
	require.EqualValues(t, 1, admitted(t, l, 1, 2))
	require.Zero(t, l.Spent(pin.LimitRequests, "client", 2), "all is given away, and nobody was refused yet")
	require.Zero(t, admitted(t, l, 1, 2))
	require.Equal(t, time.Minute, l.Spent(pin.LimitRequests, "client", 2))
	require.Zero(t, l.Spent(pin.LimitRequests, "client", 3), "of another limit there may be more")
	clock.pass(time.Minute - 1)
	require.Equal(t, time.Duration(1), l.Spent(pin.LimitRequests, "client", 2))
	clock.pass(1)
	require.Zero(t, l.Spent(pin.LimitRequests, "client", 2))
}

func TestHowMuchIsTakenAtATime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		kind  pin.Limit
		limit int64
		block int64
	}{
		{"a two-hundredth of what comes often", pin.LimitRequests, 100_000, 500},
		{"one of a limit that is small", pin.LimitRequests, 199, 1},
		{"one of what comes seldom", pin.LimitFailedLogins, 100_000, 1},
	} {
		db := newTable()
		take(t, limits.New(db, newClock().now), test.kind, "client", test.limit)
		require.Equal(t, test.block, db.block, test.name)
	}
}

func TestWindowsAreByTheDatabasesClockUnlessSomebodySetsTheTime(t *testing.T) {
	t.Parallel()
	clock, db := newClock(), newTable()
	take(t, limits.New(db, clock.now), pin.LimitRequests, "client", 5)
	require.Equal(t, clock.now(), db.at)
	take(t, limits.New(db, nil), pin.LimitRequests, "client", 5)
	require.Zero(t, db.at)
}

// held is how many leases a process keeps.
const held = 1 << 16

func TestOfTooManyLeasesThoseGoFirstWhoseWindowIsOver(t *testing.T) {
	t.Parallel()
	clock, db := newClock(), newTable()
	l := limits.New(db, clock.now)
	one := func(kind pin.Limit, n int) func() {
		return func() { require.Zero(t, take(t, l, kind, fmt.Sprint("client ", n), 100_000)) }
	}
	for n := range held / 2 {
		one(pin.LimitRequests, n)()
		one(pin.LimitVerificationsHour, n)()
	}
	require.Zero(t, asks(db, one(pin.LimitRequests, 0)), "there is room for all of them")
	clock.pass(time.Minute)
	require.Equal(t, 1, asks(db, one(pin.LimitRequests, held)), "one more")
	require.Zero(t, asks(db, one(pin.LimitVerificationsHour, 0)), "the hour is not over")
	for n := held + 1; n < held+held/2; n++ {
		one(pin.LimitRequests, n)()
	}
	require.Zero(t, asks(db, one(pin.LimitVerificationsHour, 0)))
	require.Equal(t, 1, asks(db, one(pin.LimitRequests, 0)), "one more, and no window is over")
	require.Equal(t, 1, asks(db, one(pin.LimitVerificationsHour, 0)), "all were dropped")
}

func TestProcessesTogetherNeverAdmitMoreAndHardlyFewer(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{1, 7, 100, 1000, 50_000} {
		for _, share := range []int{2, 3, 10, 1000} { // of the calls, one in so many goes to the second process
			clock, db := newClock(), newTable()
			one, two := limits.New(db, clock.now), limits.New(db, clock.now)
			count := int64(0)
			for i := range int(limit) * 2 {
				l := one
				if i%share == 0 {
					l = two
				}
				if take(t, l, pin.LimitRequests, "client", limit) == 0 {
					count++
				}
			}
			require.LessOrEqual(t, count, limit)
			require.GreaterOrEqual(t, count, limit-limit/100-1, "limit %d, one in %d", limit, share)
		}
	}
}

func TestAProcessThatEndsTakesLittleAlong(t *testing.T) {
	t.Parallel()
	clock, db := newClock(), newTable()
	count := int64(0)
	for range 4 { // each of which ends after one call
		count += admitted(t, limits.New(db, clock.now), 1, 100_000)
	}
	count += admitted(t, limits.New(db, clock.now), 200_000, 100_000)
	require.LessOrEqual(t, count, int64(100_000))
	require.GreaterOrEqual(t, count, int64(98_000))
}

func TestManyAtOnceAreCountedOnce(t *testing.T) {
	t.Parallel()
	clock, db := newClock(), newTable()
	ls := []*limits.Limiter{limits.New(db, clock.now), limits.New(db, clock.now)}
	var count atomic.Int64
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			for range 1000 {
				if w, err := ls[i%2].Take(context.WithoutCancel(t.Context()), pin.LimitRequests, "client", 10_000); err == nil && w == 0 {
					count.Add(1)
				}
			}
		})
	}
	wait.Wait()
	require.LessOrEqual(t, count.Load(), int64(10_000))
	require.GreaterOrEqual(t, count.Load(), int64(9_900))
}

func TestFailuresAreTakenOneByOne(t *testing.T) {
	t.Parallel()
	clock, db := newClock(), newTable()
	one, two := limits.New(db, clock.now), limits.New(db, clock.now)
	count := 0
	for i := range 3000 {
		if take(t, []*limits.Limiter{one, two}[i%2], pin.LimitWrongSecureCodes, "client", 1000) == 0 {
			count++
		}
	}
	require.Equal(t, 1000, count)
	require.LessOrEqual(t, one.Spent(pin.LimitWrongSecureCodes, "client", 1000), time.Hour)
	require.Positive(t, one.Spent(pin.LimitWrongSecureCodes, "client", 1000))
	require.Positive(t, two.Spent(pin.LimitWrongSecureCodes, "client", 1000))
}

func TestWhatCannotBeCountedIsNotDone(t *testing.T) {
	t.Parallel()
	clock, db := newClock(), newTable()
	l := limits.New(db, clock.now)
	db.err = &pin.Error{Code: pin.Unavailable}
	_, err := l.Take(t.Context(), pin.LimitRequests, "client", 10)
	require.Equal(t, pin.Unavailable, pin.CodeOf(err))
	l.Verified("client", "999999", "card", true)
	_, err = l.Mismatches(t.Context(), "client", 100)
	require.NoError(t, err, "there is time yet")
	clock.pass(time.Second)
	for range 2 {
		_, err = l.Mismatches(t.Context(), "client", 100)
		require.Equal(t, pin.Unavailable, pin.CodeOf(err))
	}
	db.err = nil
	n, err := l.Mismatches(t.Context(), "client", 100)
	require.NoError(t, err)
	require.Equal(t, []pin.MismatchCount{{BIN: "999999", Verifications: 1, Mismatches: 1, Cards: 1}}, n, "nothing is lost")
}

// mismatches is what the alarm is told by now.
func mismatches(t *testing.T, l *limits.Limiter, cards int64) []pin.MismatchCount {
	t.Helper()
	n, err := l.Mismatches(t.Context(), "client", cards)
	require.NoError(t, err)
	return n
}

func TestTheAlarmHearsOfAllProcesses(t *testing.T) {
	t.Parallel()
	clock, db := newClock(), newTable()
	one, two := limits.New(db, clock.now), limits.New(db, clock.now)
	for range 100 {
		one.Verified("client", "999999", "card", false)
	}
	require.Empty(t, mismatches(t, one, 100), "right PINs alone are nothing to tell")
	for i := range 4 {
		one.Verified("client", "999999", fmt.Sprint("card ", i), true)
	}
	one.Verified("client", "999999", "card 3", true)
	one.Verified("client", "888888", "card 9", true)
	require.Empty(t, mismatches(t, one, 100), "a twentieth of the limit is not there, nor is a second over")
	one.Verified("client", "999999", "card 4", true)
	require.Equal(t, []pin.MismatchCount{{BIN: "999999", Verifications: 106, Mismatches: 6, Cards: 5}}, mismatches(t, one, 100))
	require.Empty(t, mismatches(t, one, 100))
	for i := range 5 {
		two.Verified("client", "999999", fmt.Sprint("card ", i+3), true)
	}
	require.Equal(t, []pin.MismatchCount{{BIN: "999999", Verifications: 111, Mismatches: 11, Cards: 8}}, mismatches(t, two, 100), "two of the cards are known")
	clock.pass(time.Second)
	require.Equal(t, []pin.MismatchCount{{BIN: "888888", Verifications: 1, Mismatches: 1, Cards: 1}}, mismatches(t, one, 100), "after a second")
	one.Verified("client", "777777", "card", true)
	require.Len(t, mismatches(t, one, 3), 1, "where the limit is low each card is told")
	one.Verified("other", "777777", "card", true)
	require.Empty(t, mismatches(t, one, 3), "another client's are not this one's")
	clock.pass(time.Minute)
	one.Verified("client", "999999", "card 1", true)
	require.Equal(t, []pin.MismatchCount{{BIN: "999999", Verifications: 1, Mismatches: 1, Cards: 1}}, mismatches(t, one, 3), "the next minute begins with nothing")
	one.Verified("client", "666666", "card", true)
	one.Forget()
	require.Empty(t, mismatches(t, one, 3), "what was counted is of the database that was put back")
}

func TestAnAlarmNeedsBoth(t *testing.T) {
	t.Parallel()
	l := pin.Limits{pin.LimitMismatchCards: 10, pin.LimitMismatchShare: 25}
	for _, tc := range []struct {
		name                             string
		verifications, mismatches, cards int64
		over                             bool
	}{
		{"few cards, however many mismatches", 100, 100, 10, false},
		{"many cards, of a client whose verifications are many more", 400, 100, 90, false},
		{"many cards and a large share", 399, 100, 11, true},
	} {
		require.Equal(t, tc.over, pin.MismatchCount{Verifications: tc.verifications, Mismatches: tc.mismatches, Cards: tc.cards}.Over(l), tc.name)
	}
	require.False(t, pin.MismatchCount{Verifications: 1, Mismatches: 1, Cards: 1}.Over(pin.Limits{}), "without a limit there is no alarm")
	require.True(t, pin.MismatchCount{Verifications: 1000, Mismatches: 11, Cards: 11}.Over(pin.Limits{pin.LimitMismatchCards: 10}), "without a share any will do")
}
