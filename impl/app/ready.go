package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// readiness asks what a server cannot do without, and returns the names of what does not answer.
func readiness(db pin.Store, own keys) func(ctx context.Context) []string {
	held := &heldKeys{ask: func() error {
		for _, use := range own.asked() {
			if err := keyring.Answers(own.engine, use); err != nil {
				return err
			}
		}
		return nil
	}}
	return func(ctx context.Context) (failing []string) {
		if db.Ping(ctx) != nil {
			failing = append(failing, "database")
		}
		if held.answer(ctx) != nil {
			failing = append(failing, "keys")
		}
		return failing
	}
}

// asked are the uses whose keys tell whether all are there: of a backend one that it holds, since it answers for all or for none.
func (k keys) asked() []pin.Use {
	uses := keyring.Uses()
	if k.backend == nil {
		return uses
	}
	uses = slices.DeleteFunc(uses, func(use pin.Use) bool { return !k.backend.Holds(use) })
	return uses[:min(1, len(uses))]
}

// askedEvery bounds how often keys that are elsewhere are asked for nothing but the answer.
const askedEvery = time.Second

// heldKeys remembers for a moment whether keys have answered. It is safe for concurrent use, and asks once at a time.
type heldKeys struct {
	ask func() error

	mu     sync.Mutex
	latest *attempt
}

// attempt is one question. err is there once done is closed.
type attempt struct {
	began time.Time
	done  chan struct{}
	err   error
}

// answer is that of the latest attempt, of a new one where that is over and some time ago.
func (h *heldKeys) answer(ctx context.Context) error {
	h.mu.Lock()
	a := h.latest
	if a == nil || a.over() && time.Since(a.began) >= askedEvery {
		a = &attempt{began: time.Now(), done: make(chan struct{})}
		h.latest = a
		go func() {
			defer close(a.done)
			a.err = h.ask()
		}()
	}
	h.mu.Unlock()
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *attempt) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}
