package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"pinvault/impl/config"
	"pinvault/impl/keylife"
	"pinvault/impl/keyring"
	"pinvault/impl/keyring/backend"
	"pinvault/impl/metrics"
	"pinvault/impl/pin"
)

// Backend is what opens the keyset file and may have keys itself, and where that file is.
func Backend(k config.Keys) (backend.Backend, keylife.File, error) {
	return backendIn(k, backend.Surroundings{})
}

// backendIn is Backend for who has a log, or counts.
func backendIn(k config.Keys, s backend.Surroundings) (backend.Backend, keylife.File, error) {
	s.Secret = k.Secret
	b, path, err := openBackend(k, s)
	if err != nil {
		return nil, keylife.File{}, err
	}
	open := func() (*os.File, error) {
		f, err := k.OpenKeyset(path)
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w (make one with 'pinvault keys init')", err)
		}
		return f, err
	}
	return b, keylife.File{Path: path, Open: open, KEK: b.KEK()}, nil
}

func openBackend(k config.Keys, s backend.Surroundings) (backend.Backend, string, error) {
	if k.KeysURL != "" {
		return backend.Open(k.KeysURL, s)
	}
	written, err := k.Master()
	if err != nil {
		return nil, "", err
	}
	defer clear(written)
	b, err := backend.File(written)
	return b, k.Keyset, err
}

// Engine is a sandbox's keys at work, or those of the backend.
func Engine(sandbox bool, k config.Keys) (keyring.Engine, error) {
	if sandbox {
		return keyring.Sandbox(), nil
	}
	b, f, err := Backend(k)
	if err != nil {
		return nil, err
	}
	ks, err := f.Keyset()
	if err != nil {
		return nil, err
	}
	return b.Engine(ks)
}

// InitKeys makes the keys of a vault: in the backend those that belong there, and the keyset file, which it returns. It
// never overwrites a file: what was sealed under its keys would be lost.
func InitKeys(k config.Keys, random io.Reader, now time.Time) (made keylife.File, err error) {
	b, made, err := Backend(k)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.Init(); err != nil {
		return made, err
	}
	ks, err := keyring.Generate(random, now)
	if err != nil {
		return made, err
	}
	f, err := os.OpenFile(made.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return made, fmt.Errorf("%s exists already, and a keyset is never overwritten", made.Path)
	}
	if err != nil {
		return made, fmt.Errorf("keyset: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(made.Path))
		}
	}()
	if err := ks.Write(f, made.KEK); err != nil {
		return made, err
	}
	return made, f.Sync()
}

// Keeper takes steps in the life of the keys in a keyset file and of the backend, which may be told of in the vault's trail.
func Keeper(f keylife.File, b backend.Backend, trail keylife.Trail, counts keylife.Counts) *keylife.Keeper {
	return keylife.NewKeeper(f, trail, keylife.Options{Counts: counts, Rand: rand.Reader, Elsewhere: b})
}

// keys are the vault's own keys at work in a server.
type keys struct {
	engine    keyring.Engine  // what the vault works with: the backend's keys, and the others live
	backend   backend.Backend // nil in a sandbox
	live      *keyring.Live
	store     keylife.Store
	watcher   *keylife.Watcher   // nil in a sandbox, whose keys never change
	rehearsal *keylife.Rehearsal // of a sandbox, whose store it is
}

// ownKeys reads them.
func ownKeys(sandbox bool, k config.Keys, now func() time.Time, log *slog.Logger, observe func(backend, operation string, took time.Duration, err error)) (keys, error) {
	if sandbox {
		ks := keyring.Sandbox()
		r := keylife.NewRehearsal(ks)
		live := keyring.NewLive(ks, now)
		return keys{engine: live, live: live, store: r, rehearsal: r}, nil
	}
	b, f, err := backendIn(k, backend.Surroundings{Log: log, Observe: observe})
	if err != nil {
		return keys{}, err
	}
	ks, err := f.Keyset()
	if err != nil {
		return keys{}, err
	}
	live := keyring.NewLive(ks, now)
	engine, err := b.Engine(live)
	if err != nil {
		return keys{}, err
	}
	return keys{engine: engine, backend: b, live: live, store: keylife.Served{File: f, Live: live}, watcher: keylife.NewWatcher(f, live, log)}, nil
}

// keeper takes steps in the life of the keys. What this server has done it takes at once.
func (k keys) keeper(vault *pin.Vault, s Surroundings) *keylife.Keeper {
	o := keylife.Options{Counts: vault, Now: s.Now, Rand: s.Rand}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if k.backend != nil {
		o.Elsewhere = k.backend
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
	a.background.again()
}

// measure tells operators of the keys.
func (k keys) measure(registry *prometheus.Registry, now func() time.Time) {
	if now == nil {
		now = time.Now
	}
	registry.MustRegister(keylife.Metrics{Live: k.live, Watcher: k.watcher, Now: now})
}

// observing counts calls of a key backend and makes a span of each. They are traces of their own: keys are worked with without a context.
func observing(counts *metrics.Backend, traces trace.TracerProvider) func(backend, operation string, took time.Duration, err error) {
	if traces == nil {
		return counts.Call
	}
	tracer := traces.Tracer("pinvault/keys")
	return func(backend, operation string, took time.Duration, err error) {
		counts.Call(backend, operation, took, err)
		ended := time.Now()
		_, span := tracer.Start(context.Background(), "key backend "+operation, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(ended.Add(-took)),
			trace.WithAttributes(attribute.String("pinvault.backend", backend), attribute.String("pinvault.operation", operation)))
		if err != nil {
			span.SetStatus(codes.Error, "")
			span.SetAttributes(attribute.String("error.type", string(pin.CodeOf(err))))
		}
		span.End(trace.WithTimestamp(ended))
	}
}
