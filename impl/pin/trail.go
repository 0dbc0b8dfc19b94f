package pin

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// serverChain is the audit chain of what concerns no program.
const serverChain = "server"

// entry is what an operation on something else than a card writes: an event on the chain of the program
// or of the server, and the row that it is about.
type entry struct {
	event   AuditEvent
	more    []AuditEvent // of the same chain, after it
	row     *Row
	further []Row // written with it
	result  any
}

// chainOf is the chain of what concerns a program, or none.
func chainOf(programID string) string {
	if programID == "" {
		return serverChain
	}
	return programID
}

// chainTries bounds how often an event is appended anew because another process was faster.
const chainTries = 100

// enter writes an entry. Within a process one is written at a time, so that those for one chain do not
// overtake each other over and over.
func (v *Vault) enter(ctx context.Context, e entry, m Memo) error {
	return v.lengthen(ctx, chainOf(e.event.ProgramID), append([]AuditEvent{e.event}, e.more...), e, m)
}

// rekey has a chain that no card carries go on under the current key, if it does not yet.
func (v *Vault) rekey(ctx context.Context, chain string) error {
	e := entry{event: AuditEvent{ProgramID: chain}}
	if chain == serverChain {
		e.event.ProgramID = ""
	}
	return v.lengthen(ctx, chain, nil, e, Memo{})
}

// lengthen writes an entry with its events.
func (v *Vault) lengthen(ctx context.Context, chain string, events []AuditEvent, e entry, m Memo) error {
	own, cancel := ownTime(ctx)
	defer cancel()
	select {
	case v.trail <- struct{}{}:
		defer func() { <-v.trail }()
	case <-own.Done():
		return &Error{Code: Unavailable, Err: own.Err()}
	}
	v.signed(ctx, events, m)
	for try := 1; ; try++ {
		change, err := v.entered(own, chain, events, e, m)
		if err == nil {
			err = v.commit(own, change, false)
		}
		behind := CodeOf(err) == Conflict && FieldOf(err) == string(TableChains)
		if !behind && !late(err) || try == chainTries {
			return err
		}
	}
}

// entered is an entry as it is written, after the chain's newest event.
func (v *Vault) entered(ctx context.Context, chain string, events []AuditEvent, e entry, m Memo) (Change, error) {
	head, err := v.head(ctx, chain)
	if err != nil && CodeOf(err) != NotFound {
		return Change{}, err
	}
	from := head.Seq
	rows, head, err := v.chained(head, chain, e.event.ProgramID, events)
	if err != nil {
		return Change{}, err
	}
	tip, err := Sealed(v.keys, Row{Table: TableChains, ID: chain, Version: head.Seq}, head)
	if err != nil {
		return Change{}, err
	}
	c := Change{Rows: []Row{tip}, From: from, Events: rows}
	if e.row != nil {
		c.Rows = append(c.Rows, *e.row)
	}
	c.Rows = append(c.Rows, e.further...)
	return c, v.accompany(&c, m, e.result)
}

// head is how far a chain has come that no card carries: NotFound.
func (v *Vault) head(ctx context.Context, chain string) (Head, error) {
	row, err := v.store.Row(ctx, TableChains, "", chain)
	if err != nil {
		return Head{}, err
	}
	h, err := openHead(v.keys, row)
	if err != nil {
		return Head{}, v.broken(ctx, string(TableChains), chain)
	}
	return h, nil
}

// openHead reads a row of chains.
func openHead(keys MACs, row Row) (Head, error) {
	var h Head
	if err := unseal(keys, row, &h); err != nil {
		return Head{}, err
	}
	if h.Seq != row.Version {
		return Head{}, &Error{Code: Internal, Err: errTampered}
	}
	return h, nil
}

// Initialize makes a vault of an empty store: it begins the server's chain of events. On a store that is
// a vault already it does nothing; where that vault has other keys, or its chain was tampered with, it is
// an Internal with the seal's error, and nothing must be served.
func (v *Vault) Initialize(ctx context.Context) error {
	_, err := v.head(ctx, serverChain)
	switch {
	case Tampered(err):
		return &Error{Code: Internal, Err: fmt.Errorf("another keyset has written this database, or its first row was changed: %w", errTampered)}
	case CodeOf(err) != NotFound:
		return err
	}
	return v.enter(ctx, entry{event: AuditEvent{Type: EventVaultInitialized}}, Memo{})
}

// Refusals are told in the trail, but not each of them: of one kind the first in an hour and then each
// power of ten, so that nobody fills it by knocking.
const (
	refusalsFor  = time.Hour
	maxRefusals  = 4096 // kinds that are counted at once
	refusalsHour = 1000 // kinds whose first refusal is told within an hour
)

// refusals are those of an hour, by the vault's clock. They keep no goroutine busy, so that a vault leaves nothing behind.
type refusals struct {
	now   func() time.Time
	mu    sync.Mutex
	since time.Time
	kinds map[string]int64
}

// count is how often a kind was refused within the hour, this time too, and 0 for one kind too many.
func (r *refusals) count(kind string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := r.now().Sub(r.since); age < 0 || age >= refusalsFor {
		r.since, r.kinds = r.now(), map[string]int64{}
	}
	n := r.kinds[kind] + 1
	if n == 1 && len(r.kinds) >= maxRefusals {
		return 0
	}
	r.kinds[kind] = n
	if n == 1 && len(r.kinds) > refusalsHour {
		return 0
	}
	return n
}

// refused tells the server's trail of a refusal, if it is time. What was presented, hashed, tells one
// kind from another; the event does not hold it.
func (v *Vault) refused(ctx context.Context, t EventType, presented, subject string, reason Code) {
	kind, err := v.keys.MAC(UseFingerprint, frame("refusal", string(t), presented))
	if err != nil {
		return
	}
	n := v.refusals.count(string(kind))
	if n == 0 || !round(n) {
		return
	}
	count, _ := json.Marshal(n)
	// That the trail could not be written changes nothing about the refusal.
	_ = v.enter(ctx, entry{event: AuditEvent{Type: t, Subject: subject, Outcome: string(reason),
		Changes: []FieldChange{{Field: "refusals", New: string(count)}}}}, Memo{})
}

// AccessRefused tells the trail that a caller was refused for want of a scope, or of reach.
func (v *Vault) AccessRefused(ctx context.Context, operation string) {
	who := CallerFrom(ctx)
	v.refused(ctx, EventAccessRefused, who.ClientID+" "+operation, who.ClientID, Forbidden)
}
