package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pinvault/impl/config"
	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// MasterKey reads the master key. The caller clears it.
func MasterKey(k config.Keys) ([]byte, error) {
	text, err := k.Master()
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return keyring.ParseMasterKey(text)
}

// KeysetFile is the keyset file, and what opens it.
func KeysetFile(k config.Keys) (keylife.File, error) {
	master, err := MasterKey(k)
	if err != nil {
		return keylife.File{}, err
	}
	defer clear(master)
	kek, err := keyring.MasterKey(master)
	if err != nil {
		return keylife.File{}, err
	}
	open := func() (*os.File, error) {
		f, err := k.OpenKeyset()
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w (make one with 'pinvault keys init')", err)
		}
		return f, err
	}
	return keylife.File{Path: k.Keyset, Open: open, KEK: kek}, nil
}

// Keyset is a sandbox's keyset, or that of the keyset file.
func Keyset(sandbox bool, k config.Keys) (*keyring.Keyset, error) {
	if sandbox {
		return keyring.Sandbox(), nil
	}
	f, err := KeysetFile(k)
	if err != nil {
		return nil, err
	}
	return f.Keyset()
}

// Keeper takes steps in the life of the keys in a keyset file, which may be told of in the vault's trail.
func Keeper(f keylife.File, trail keylife.Trail) *keylife.Keeper {
	return keylife.NewKeeper(f, trail, keylife.Options{Rand: rand.Reader})
}

// keys are the vault's own keys at work in a server.
type keys struct {
	live      *keyring.Live
	store     keylife.Store
	watcher   *keylife.Watcher   // nil in a sandbox, whose keys never change
	rehearsal *keylife.Rehearsal // of a sandbox, whose store it is
}

// ownKeys reads them.
func ownKeys(sandbox bool, k config.Keys, now func() time.Time, log *slog.Logger) (keys, error) {
	if sandbox {
		ks := keyring.Sandbox()
		r := keylife.NewRehearsal(ks)
		return keys{live: keyring.NewLive(ks, now), store: r, rehearsal: r}, nil
	}
	f, err := KeysetFile(k)
	if err != nil {
		return keys{}, err
	}
	ks, err := f.Keyset()
	if err != nil {
		return keys{}, err
	}
	live := keyring.NewLive(ks, now)
	return keys{live: live, store: keylife.Served{File: f, Live: live}, watcher: keylife.NewWatcher(f, live, log)}, nil
}

// keeper takes steps in the life of the keys. What this server has done it takes at once.
func (k keys) keeper(vault *pin.Vault, s Surroundings) *keylife.Keeper {
	o := keylife.Options{Now: s.Now, Rand: s.Rand}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if k.watcher != nil {
		o.Taken = func() { _ = k.watcher.Look(context.Background()) } // which logs what is wrong
	}
	return keylife.NewKeeper(k.store, vault, o)
}

// Forget has the app forget what it knows of a database that was put back or emptied.
func (a *App) Forget() {
	a.Vault.Forget()
	a.Tokens.Recheck()
	if a.rehearsal != nil {
		a.rehearsal.Reset()
	}
}

// measure tells operators of the keys.
func (k keys) measure(registry *prometheus.Registry, now func() time.Time) {
	if now == nil {
		now = time.Now
	}
	registry.MustRegister(keylife.Metrics{Live: k.live, Watcher: k.watcher, Now: now})
}
