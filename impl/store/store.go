package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"pinvault/impl/pin"
)

// Options of a [Store]; the zero value is good.
type Options struct {
	// MaxConns bounds the connections to the database, 0: 8 for SQLite, 20 for PostgreSQL. There are two
	// at least: who decides under a card's lock may have to read something besides.
	MaxConns int

	// LockWait is how long SQLite waits for another program's lock before an operation is Unavailable, 0: five
	// seconds.
	LockWait time.Duration

	// Passing is of SQLite's files that end with the process: nothing waits until the disk has a change, and what is
	// deleted is not overwritten.
	Passing bool

	// Tracer makes spans of the statements of requests that are traced, nil: nobody does.
	Tracer trace.Tracer
}

// Store is pin.Store on a database. It is safe for concurrent use.
type Store struct {
	db      *gorm.DB
	pool    *sql.DB
	engine  engine
	writing chan struct{} // SQLite: taken by the one writer; nil where writers run side by side
	locking chan struct{} // taken by who holds, or waits for, a card's lock: see [Store.Locked]
	tracer  trace.Tracer  // nil: none
	clock   *Clock
	closed  atomic.Bool
	retries atomic.Int64
}

var _ pin.Store = (*Store)(nil)

// Open connects to the database that url names (Unavailable when it cannot be reached) and leaves its
// schema alone, see [Store.Migrate]:
//
//	sqlite:///absolute/path.db, sqlite://relative/path.db   made if missing, readable by its owner only
//	postgres://user:password@host:port/database?options     as pgx reads it
//
// An acknowledged change survives a crash: SQLite runs with synchronous=FULL. With PostgreSQL it is the
// server's synchronous_commit that decides, on by default.
//
// A pooler that hands a connection on after each transaction is noticed and served without prepared
// statements, unless default_query_exec_mode in the URL says how.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	engine, dialector, err := connect(url, cmp.Or(o.LockWait, 5*time.Second), o.Passing)
	if err != nil {
		return nil, err
	}
	s := &Store{engine: engine, tracer: o.Tracer, clock: &Clock{}}
	if engine.function {
		s.clock.read = s.time
	}
	if engine.oneWriter {
		s.writing = make(chan struct{}, 1)
	}
	// The drivers prepare statements by themselves: pgx keeps them for each connection and forgets those
	// that the server does not know any more. GORM's PrepareStmt would not, and inside a transaction
	// would prepare each statement anew.
	s.db, err = gorm.Open(dialector, &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		QueryFields:            true, // a column added later does not reach this program's statements
		DisableAutomaticPing:   true,
		Logger:                 logger.Discard, // any other prints values
	})
	if err != nil {
		return nil, s.fail(ctx, err, "")
	}
	if s.pool, err = s.db.DB(); err != nil {
		return nil, s.fail(ctx, err, "")
	}
	if s.tracer != nil {
		if err := s.traceStatements(); err != nil {
			return nil, err
		}
	}
	conns := o.MaxConns
	if conns == 0 {
		conns = engine.maxConns
	}
	conns = max(conns, 2)
	s.pool.SetMaxOpenConns(conns)
	s.pool.SetMaxIdleConns(conns)
	s.pool.SetConnMaxIdleTime(5 * time.Minute)
	if err := s.pool.PingContext(ctx); err != nil {
		err = s.fail(ctx, err, "")
		_ = s.Close()
		return nil, err
	}
	if s.engine.sharded, err = s.spread(ctx); err == nil {
		_, err = s.clock.look(ctx)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	s.locking = make(chan struct{}, s.lockers(conns))
	return s, nil
}

// lockers is how many may hold or wait for cards' locks at once. A pooler has fewer connections than it is
// asked for, and does not tell how many.
func (s *Store) lockers(conns int) int {
	if s.engine.sessions != nil && s.engine.sessions.pooled.Load() {
		return 1
	}
	return max(1, conns/2)
}

// Close ends all connections; every later call is Unavailable.
func (s *Store) Close() error {
	s.closed.Store(true)
	return s.pool.Close()
}

// Stats are the connection pool's figures.
func (s *Store) Stats() sql.DBStats { return s.pool.Stats() }

// Ping asks the database for a row, so that it tells of a missing schema too.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, func(db *gorm.DB) error {
		return db.Exec("SELECT 1 FROM settings LIMIT 1").Error
	})
}

// retryFor bounds how long a failure that another try may cure is tried again. Whoever waits longer
// is better told to come back.
const retryFor = 2 * time.Second

// retry runs op until it succeeds, fails for good, or time is up, and returns what op returned last.
func (s *Store) retry(ctx context.Context, op func() error) error {
	if err := op(); !again(err) {
		return err
	}
	pause := &backoff.ExponentialBackOff{InitialInterval: 2 * time.Millisecond, MaxInterval: 100 * time.Millisecond,
		Multiplier: 1.5, RandomizationFactor: 0.9}
	var err error
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		s.retries.Add(1)
		if err = op(); err == nil {
			return struct{}{}, nil
		}
		if again(err) {
			return struct{}{}, err
		}
		return struct{}{}, backoff.Permanent(err)
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(retryFor))
	return err
}

// again tells whether another try may cure a failure.
func again(err error) bool {
	f, ok := errors.AsType[*fault](err)
	return ok && f.again
}

// read runs a query, again where that may help.
func (s *Store) read(ctx context.Context, query func(db *gorm.DB) error) error {
	return s.retry(ctx, func() error { return s.fail(ctx, query(s.db.WithContext(ctx)), "") })
}

// write runs a change, again where that may help. With SQLite one change at a time runs in this
// process: writers that queue here are served in turn and at once, writers that meet in the database
// poll for its lock.
func (s *Store) write(ctx context.Context, change func(db *gorm.DB) error) error {
	return s.retry(ctx, func() error {
		if s.writing != nil {
			select {
			case s.writing <- struct{}{}:
				defer func() { <-s.writing }()
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil { // and so it is known that nothing was changed
			return s.fail(ctx, ctx.Err(), "")
		}
		return change(s.db.WithContext(ctx))
	})
}

// inTx runs fn in one transaction, which is committed durably before inTx returns nil. Where the database
// reports a serialization failure, fn is run again. An error of the database that fn keeps to itself ends
// the transaction all the same: PostgreSQL leaves no choice, and the others follow.
func (s *Store) inTx(ctx context.Context, fn func(*tx) error) (err error) {
	ctx, end := s.span(ctx, "TRANSACTION")
	defer func() { end(err) }()
	return s.write(ctx, func(db *gorm.DB) error {
		begun, committing := false, false
		err := db.Transaction(func(db *gorm.DB) error {
			begun = true
			t := &tx{db: db, engine: s.engine, translate: func(err error, field string) error { return s.fail(ctx, err, field) }}
			err := fn(t)
			if t.failed != nil {
				err = t.failed
			}
			if err == nil && ctx.Err() != nil { // what is not committed was not made, and that is known
				err = s.fail(ctx, ctx.Err(), "")
			}
			committing = err == nil
			return err
		})
		switch {
		case !begun:
			return s.fail(ctx, err, "")
		case committing:
			return s.ended(ctx, err)
		}
		return err
	})
}

// ended is the failure of what takes effect at once, a COMMIT for one. Unless the database has said that
// it did not, nobody knows: it is in doubt, and is not tried again here.
func (s *Store) ended(ctx context.Context, err error) error {
	err = s.fail(ctx, err, "")
	e, ok := errors.AsType[*pin.Error](err)
	if !ok || e.Code != pin.Unavailable {
		return err
	}
	cause := e.Err
	if f, ok := errors.AsType[*fault](err); ok {
		if f.noEffect {
			return err
		}
		cause = &fault{text: f.text} // not again: it may have been made
	}
	return &pin.Error{Code: pin.Unavailable, Err: fmt.Errorf("%w: %w", pin.ErrInDoubt, cause)}
}
