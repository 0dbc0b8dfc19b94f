// Package idempotency gives a repeated request the first one's answer, without a second effect: one
// mechanism for every contract's flavour of it. How a key is named, how long it is kept and what a
// misused one is answered belongs to the contracts.
//
// It knows the domain only. That an effect is had once is decided by the store: the answer is kept in
// the very write that has the effect (see [pin.Memo]), and of two writes for one key the second is undone.
//
// A record holds the answer and a keyed MAC of the request, never the request itself: a plain hash
// of a four-digit PIN is no secret.
package idempotency

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"pinvault/impl/pin"
)

// Records finds replay records. [pin.Vault] does.
type Records interface {
	// Replay finds a record, expired or not: NotFound, Unavailable.
	Replay(ctx context.Context, scope, key string) (pin.Replay, error)
}

// Fingerprints makes and compares keyed MACs. [pin.Keys] is one.
type Fingerprints interface {
	MAC(use pin.Use, data []byte) ([]byte, error)
	VerifyMAC(use pin.Use, data, mac []byte) bool
}

// Guard recognizes repeated requests. It is safe for concurrent use, by several processes on one
// store too.
type Guard struct {
	records Records
	keys    Fingerprints
	now     func() time.Time
}

// New makes a guard. now defaults to the clock.
func New(records Records, keys Fingerprints, now func() time.Time) *Guard {
	if now == nil {
		now = time.Now
	}
	return &Guard{records: records, keys: keys, now: now}
}

// clock is the time in UTC, as exact as every database keeps it.
func (g *Guard) clock() time.Time { return g.now().UTC().Truncate(time.Microsecond) }

// Request is what tells one request from another. It prints as ****, for what is in its content.
type Request struct {
	Scope    string        // whose keys these are: the client's id
	Key      string        // the idempotency key; "": none was sent, and nothing is remembered; kept as a keyed hash
	Endpoint string        // operation and its subject; kept in clear, so never with a PAN
	Content  []byte        // what a repetition must repeat, a PIN or PIN block included; not kept
	TTL      time.Duration // how long the answer is kept, from the first use of the key

	// OnCard says that the effect is one operation of the vault on a card, which looks for the answer as it looks for the card: a
	// request that is no repetition, as most are, then costs no look-up of its own.
	OnCard bool
}

// Once has the effect of a request, or returns the answer of the first request with its key, which
// is then replayed. The effect hands the memo that it gets to the one vault operation that it calls;
// m is the memo that the operation would get anyway.
//
// T is the type of the vault's result, or a struct that embeds it with whatever the first answer
// alone may have as fields tagged json:"-", such as the secret of a fresh client; struct{} where the
// answer needs nothing. What is kept of a client's secrets is not.
//
// ReplayOther when the key was used on another endpoint, ReplayChanged when with other content,
// ReplayUnderway when the record of a request that came first is gone before it could be read, and what
// effect returns: only what took effect is remembered.
func Once[T any](ctx context.Context, g *Guard, r Request, m pin.Memo, effect func(pin.Memo) (T, error)) (result T, replayed bool, err error) {
	return OnceWhile(ctx, g, r, m, effect, nil)
}

// OnceWhile is Once for answers that may be worth nothing before their time is over. Where serves says that the
// first one's is, the request is as one with a fresh key, whatever the first one was; nil: it always serves.
func OnceWhile[T any](ctx context.Context, g *Guard, r Request, m pin.Memo, effect func(pin.Memo) (T, error), serves func(T) (bool, error)) (result T, replayed bool, err error) {
	if r.Key == "" {
		result, err = effect(m)
		return result, false, err
	}
	input := r.frame()
	defer clear(input)
	var first answer[T]
	if r.OnCard && serves == nil {
		m.Unless = &pin.ReplayKey{Scope: r.Scope, Key: r.Key}
	} else if first, err = recall(ctx, g, r, input, serves); first.found || err != nil {
		return first.result, first.found, err
	}
	if m.Keep, err = g.keep(r, input, first.version+1, keep[T]); err != nil {
		return result, false, err
	}
	result, err = effect(m)
	code := pin.CodeOf(err)
	if err == nil || code == pin.Unavailable || code == pin.Internal && m.Unless == nil {
		return result, false, err
	}
	// Another request may have had the effect, and left its answer: then this one was refused because of its own effect, a PIN for
	// being the card's already. Where nobody knows, none is told of a refusal. Where the answer was not looked for before, any
	// refusal may be one of a repetition: those that are a contract's own, such as of a time that is over, are Internal to the vault.
	first, failed := recall(ctx, g, r, input, serves)
	if first.found || failed != nil {
		return first.result, first.found, failed
	}
	if pin.Repeated(err) {
		err = &pin.Error{Code: pin.ReplayUnderway}
	}
	return result, false, err
}

// answer is that of the first request with a key, where there is one to be given again.
type answer[T any] struct {
	result  T
	found   bool
	version int64 // of the record of one that serves no more, 0 where there is none
}

// recall finds the answer of the first request with the key; none is no error.
func recall[T any](ctx context.Context, g *Guard, r Request, input []byte, serves func(T) (bool, error)) (answer[T], error) {
	record, err := g.records.Replay(ctx, r.Scope, r.Key)
	switch {
	case pin.CodeOf(err) == pin.NotFound:
		return answer[T]{}, nil
	case err != nil:
		return answer[T]{}, err
	case !g.clock().Before(record.ExpiresAt):
		return answer[T]{}, nil
	}
	var kept T
	unreadable := json.Unmarshal(record.Result, &kept) // whose text would quote the record
	if serves != nil && unreadable == nil {
		if good, err := serves(kept); !good || err != nil {
			return answer[T]{version: record.Version}, err
		}
	}
	switch {
	case record.Endpoint != r.Endpoint:
		return answer[T]{}, &pin.Error{Code: pin.ReplayOther}
	case !g.keys.VerifyMAC(pin.UseFingerprint, input, record.Fingerprint):
		return answer[T]{}, &pin.Error{Code: pin.ReplayChanged}
	case unreadable != nil:
		return answer[T]{}, &pin.Error{Code: pin.Internal, Err: fmt.Errorf("idempotency: record does not hold a %T", kept)}
	}
	return answer[T]{result: kept, found: true}, nil
}

// keep makes the record of a request's result, of the version that its key has come to.
func (g *Guard) keep(r Request, input []byte, version int64, text func(any) ([]byte, error)) (func(any) (pin.Replay, error), error) {
	fingerprint, err := g.keys.MAC(pin.UseFingerprint, input)
	if err != nil {
		return nil, err
	}
	now := g.clock()
	return func(result any) (pin.Replay, error) {
		kept, err := text(result)
		return pin.Replay{Scope: r.Scope, Key: r.Key, Endpoint: r.Endpoint, Fingerprint: fingerprint, Result: kept,
			CreatedAt: now, ExpiresAt: now.Add(r.TTL), Version: version}, err
	}, nil
}

// keep is the vault's result as a record holds it. What would not read back as the same T is refused
// before it takes effect, not found out by the first repetition.
func keep[T any](result any) ([]byte, error) {
	var back T
	if _, nothing := any(back).(struct{}); nothing {
		result = back
	}
	if c, ok := result.(pin.Client); ok {
		c.SecretDigest, c.OldSecretDigest, c.Secrets = nil, nil, nil
		result = c
	}
	kept, err := json.Marshal(result)
	if err == nil {
		err = json.Unmarshal(kept, &back)
	}
	again, errAgain := json.Marshal(back)
	if errors.Join(err, errAgain) != nil || !bytes.Equal(kept, again) {
		return nil, &pin.Error{Code: pin.Internal, Err: fmt.Errorf("idempotency: a %T cannot be kept as a %T", result, back)}
	}
	return kept, nil
}

// frame is what a fingerprint covers, each part with its length, so that no two requests give the
// same bytes. Scope and key are in it so that equal content under two keys does not show as equal.
func (r Request) frame() []byte {
	parts := [][]byte{[]byte(r.Scope), []byte(r.Key), []byte(r.Endpoint), r.Content}
	size := 0
	for _, p := range parts {
		size += 8 + len(p)
	}
	out := make([]byte, 0, size) // in full: growing would leave copies of the content behind
	for _, p := range parts {
		out = append(binary.BigEndian.AppendUint64(out, uint64(len(p))), p...)
	}
	return out
}

const redacted = "****"

// Format prints **** for every verb.
func (Request) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalJSON prints "****".
func (Request) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// LogValue prints ****.
func (Request) LogValue() slog.Value { return slog.StringValue(redacted) }
