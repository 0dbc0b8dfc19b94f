package store

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"pinvault/impl/pin"
	"pinvault/impl/store/storetest"
)

// line is a line to the database that a test can cut.
type line struct {
	t      *testing.T
	target string
	url    string // of the database through the line

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	cutAt    []byte // what a client may not say
}

// lineTo is an intact line to the database of a URL.
func lineTo(t *testing.T, databaseURL string) *line {
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	l := &line{t: t, target: u.Host}
	l.connect("127.0.0.1:0")
	u.Host = l.listener.Addr().String()
	l.url = u.String()
	t.Cleanup(l.cut)
	return l
}

func (l *line) connect(address string) {
	listener, err := net.Listen("tcp", address)
	require.NoError(l.t, err)
	l.listener = listener
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", l.target)
			if err != nil {
				_ = client.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, client, server)
			l.mu.Unlock()
			go l.forward(server, client)
			go l.forward(client, server)
		}
	}()
}

func (l *line) forward(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	for buffer := make([]byte, 64<<10); ; {
		n, err := from.Read(buffer)
		l.mu.Lock()
		forbidden := len(l.cutAt) > 0 && bytes.Contains(buffer[:n], l.cutAt)
		l.mu.Unlock()
		if err != nil || forbidden {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections and refuses new ones.
func (l *line) cut() {
	_ = l.listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// mend lets connections through again.
func (l *line) mend() { l.connect(l.listener.Addr().String()) }

func (l *line) cutWhenHearing(word string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutAt = []byte(word)
}

// crowd makes the store open n connections, all of which have found a card before they are left idle.
func crowd(t *testing.T, s *Store, n int) {
	t.Helper()
	var group sync.WaitGroup
	var inside atomic.Int64
	all := make(chan struct{})
	for range n {
		group.Go(func() {
			tx := s.db.Begin()
			statement, args := s.findStatement(byToken)
			var rows []found
			tx.Raw(statement, args...).Find(&rows)
			if inside.Add(1) == int64(n) {
				close(all)
			}
			<-all
			tx.Rollback()
		})
	}
	group.Wait()
	require.Equal(t, n, s.Stats().Idle)
}

var byToken = pin.Search{ProgramID: "program", Criteria: []pin.Criterion{{Kind: pin.KindPublicToken, Values: []string{"token-0"}}}, Limit: 2}

// requireServed fails unless the store finds the card and changes it.
func requireServed(t *testing.T, s *Store) {
	t.Helper()
	found, err := s.Find(context.Background(), byToken)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.NoError(t, s.InTx(context.Background(), func(tx pin.Tx) error { return tx.ResetTries("card-0", 3) }))
}

func TestADatabaseThatIsGoneIsUnavailableAtOnceAndFoundAgain(t *testing.T) {
	l := lineTo(t, storetest.Postgres(t))
	s := open(t, l.url)
	seed(t, s, 1)
	crowd(t, s, 5)
	for range 2 {
		l.cut()
		ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
		_, err := s.Find(ctx, byToken)
		require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%v", err)
		_, _, err = s.TakeTry(ctx, "card-0", 3)
		require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%v", err)
		require.Equal(t, pin.Unavailable, pin.CodeOf(s.InTx(ctx, func(tx pin.Tx) error { return tx.ResetTries("card-0", 3) })))
		require.Equal(t, pin.Unavailable, pin.CodeOf(s.Ping(ctx)))
		require.NoError(t, ctx.Err(), "nothing waited for a timeout")
		cancel()
		l.mend()
		requireServed(t, s)
	}
}

func TestConnectionsThatDiedUnnoticedAreReplaced(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	seed(t, s, 1)
	crowd(t, s, 10)
	exec(t, s, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	for range 10 {
		requireServed(t, s)
	}
}

func TestStalePreparedStatementsAreReplaced(t *testing.T) {
	for _, c := range []struct{ name, stale string }{
		{"the schema changes", "ALTER TABLE programs ALTER COLUMN name TYPE varchar(99)"},
		{"another server answers", "DEALLOCATE ALL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, storetest.Postgres(t))
			seed(t, s, 1)
			s.pool.SetMaxOpenConns(1)
			requireServed(t, s)
			exec(t, s, c.stale)
			requireServed(t, s)
			taken, admitted, err := s.TakeTry(context.Background(), "card-0", 3)
			require.NoError(t, err)
			require.True(t, admitted)
			require.Equal(t, 2, taken.TriesLeft)
		})
	}
}

func TestACommitWithoutAnswerIsNotTriedAgain(t *testing.T) {
	l := lineTo(t, storetest.Postgres(t))
	s := open(t, l.url)
	seed(t, s, 1)
	l.cutWhenHearing("commit")
	runs := 0
	err := s.InTx(context.Background(), func(tx pin.Tx) error { runs++; return tx.ResetTries("card-0", 2) })
	require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%v", err)
	require.Equal(t, 1, runs)
}

func TestATakeWithoutAnswerIsNotTriedAgain(t *testing.T) {
	l := lineTo(t, storetest.Postgres(t))
	s := open(t, l.url)
	seed(t, s, 1)
	_, _, err := s.TakeTry(context.Background(), "card-0", 3) // prepares the statement
	require.NoError(t, err)
	l.cutWhenHearing("UPDATE 1") // the server's answer
	_, _, err = s.TakeTry(context.Background(), "card-0", 3)
	require.Equal(t, pin.Unavailable, pin.CodeOf(err), "%v", err)
	l.cutWhenHearing("")
	found, err := s.Find(context.Background(), byToken)
	require.NoError(t, err)
	require.EqualValues(t, 2, found[0].PIN.Takes)
}

func TestOfTwoTransactionsInADeadlockBothSucceed(t *testing.T) {
	s := open(t, withParameter(t, storetest.Postgres(t), "deadlock_timeout", "20ms"))
	seed(t, s, 2)
	var runs atomic.Int64
	var group, bothHoldOne sync.WaitGroup
	bothHoldOne.Add(2)
	errs := make([]error, 2)
	for i := range errs {
		group.Go(func() {
			var once sync.Once
			errs[i] = s.InTx(context.Background(), func(tx pin.Tx) error {
				runs.Add(1)
				if err := tx.ResetTries(fmt.Sprint("card-", i), 1); err != nil {
					return err
				}
				once.Do(func() { bothHoldOne.Done(); bothHoldOne.Wait() })
				return tx.ResetTries(fmt.Sprint("card-", 1-i), 2)
			})
		})
	}
	group.Wait()
	require.Equal(t, []error{nil, nil}, errs)
	require.Greater(t, runs.Load(), int64(2), "one of them ran again")
}

func TestPurgingSparesAReplayThatIsTakenOverMeanwhile(t *testing.T) {
	s := open(t, storetest.Postgres(t))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	expired := pin.Replay{Scope: "client", Key: "key", Fingerprint: []byte("old"), CreatedAt: now.Add(-2 * time.Hour), ExpiresAt: now.Add(-time.Hour)}
	require.NoError(t, s.InTx(context.Background(), func(tx pin.Tx) error { return tx.InsertReplay(expired) }))

	purged := make(chan int64)
	require.NoError(t, s.InTx(context.Background(), func(tx pin.Tx) error {
		fresh := expired
		fresh.CreatedAt, fresh.ExpiresAt = now, now.Add(time.Hour)
		err := tx.InsertReplay(fresh)
		go func() {
			n, err := s.PurgeReplays(context.Background(), now)
			assert.NoError(t, err)
			purged <- n
		}()
		for waiting := []int{0}; waiting[0] == 0; {
			waiting = query[int](t, s, "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())")
		}
		return err
	}))
	require.Zero(t, <-purged)
	_, err := s.Replay(context.Background(), "client", "key")
	require.NoError(t, err)
}
