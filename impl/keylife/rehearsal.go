package keylife

import (
	"context"
	"sync"

	"pinvault/impl/keyring"
)

// Rehearsal keeps a keyset in memory, beside the one that is at work: steps are decided, shown and told of, and have no
// effect on what the vault does. It is what a sandbox has, whose keys are public and the same in every process.
type Rehearsal struct {
	mu    sync.Mutex
	ks    *keyring.Keyset
	first *keyring.Keyset
}

// NewRehearsal begins with a keyset.
func NewRehearsal(ks *keyring.Keyset) *Rehearsal { return &Rehearsal{ks: ks, first: ks} }

// Keyset is what the steps have made of it.
func (r *Rehearsal) Keyset() (*keyring.Keyset, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ks, nil
}

// Change is [File.Change].
func (r *Rehearsal) Change(_ context.Context, decide func(*keyring.Keyset) (*keyring.Keyset, error), told func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := decide(r.ks)
	if err == nil {
		err = told()
	}
	if err == nil {
		r.ks = next
	}
	return err
}

// Reset begins anew.
func (r *Rehearsal) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ks = r.first
}
