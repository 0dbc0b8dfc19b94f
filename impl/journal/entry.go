package journal

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"pinvault/impl/pin"
)

// Entry is one call. It is written while the call is under way, by whoever takes part in it, and does not change
// afterwards. All methods may be called on nil, which is the entry of a call that is not kept.
type Entry struct {
	number int64
	at     time.Time // by the space's clock
	took   time.Duration
	size   int // bytes

	method, host string
	path         string // and query, within the space
	target       string // as it was sent
	remote       string
	secure       bool // by TLS
	header       []field
	sent         body

	status  int // 0: none was sent
	replied []field
	answer  body

	fitting  sync.Once
	fitted   string // the row, once somebody has asked
	mu       sync.Mutex
	finished bool
	noted
}

// noted is what others tell of a call.
type noted struct {
	contract, operation, client, rule, row, fault string

	cut            bool
	opened, inside []byte
	cards          []card
}

// card is a card that the call found, and what became of it.
type card struct {
	id    string
	steps []step
}

// step is a change of a card at rest.
type step struct{ before, after pin.CardRow }

type entryKey struct{}

// From is the entry of the call that a context belongs to, nil where none is kept.
func From(ctx context.Context) *Entry {
	e, _ := ctx.Value(entryKey{}).(*Entry)
	return e
}

func (e *Entry) note(what func(n *noted)) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.finished { // what is done after the reply is of no call
		what(&e.noted)
	}
}

// NoteOperation tells which operation of a contract was called. The operation is "" where the contract has none.
func (e *Entry) NoteOperation(contract, operation string) {
	e.note(func(n *noted) { n.contract, n.operation = contract, operation })
}

// NoteClient tells who called, by the client's id.
func (e *Entry) NoteClient(id string) { e.note(func(n *noted) { n.client = id }) }

// NoteRule tells which rule was taken, "header" for the call's own wish, the row that it has come out, operation/name, and
// the fault that it names, "" for none.
func (e *Entry) NoteRule(rule, row, fault string) {
	e.note(func(n *noted) { n.rule, n.row, n.fault = rule, row, fault })
}

// NoteCut tells that the connection is cut before the reply.
func (e *Entry) NoteCut() { e.note(func(n *noted) { n.cut = true }) }

// NoteOpened keeps a copy of what was inside a sealed request.
func (e *Entry) NoteOpened(message []byte) {
	e.note(func(n *noted) { n.opened = bytes.Clone(message[:min(len(message), maxBody)]) })
}

// NoteInside keeps a copy of what is inside a sealed reply.
func (e *Entry) NoteInside(message []byte) {
	e.note(func(n *noted) { n.inside = bytes.Clone(message[:min(len(message), maxBody)]) })
}

// NoteFound tells of a card that the call found.
func (e *Entry) NoteFound(row pin.CardRow) { e.note(func(n *noted) { n.card(row.ID) }) }

// NoteChanged tells of a card that the call has changed: before is the zero row where it was made. The rows are kept and
// must not be written to afterwards.
func (e *Entry) NoteChanged(before, after pin.CardRow) {
	e.note(func(n *noted) {
		c := n.card(after.ID)
		c.steps = append(c.steps, step{before, after})
	})
}

func (n *noted) card(id string) *card {
	for i := range n.cards {
		if n.cards[i].id == id {
			return &n.cards[i]
		}
	}
	n.cards = append(n.cards, card{id: id})
	return &n.cards[len(n.cards)-1]
}

// found tells whether the call found a card.
func (e *Entry) found(id string) bool {
	for i := range e.cards {
		if e.cards[i].id == id {
			return true
		}
	}
	return false
}

// finish ends the notes and returns what is kept, in bytes.
func (e *Entry) finish() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.finished = true
	e.size = len(e.sent.kept) + len(e.answer.kept) + len(e.opened) + len(e.inside) + len(e.path) + len(e.target)
	for _, list := range [][]field{e.header, e.replied} {
		for _, f := range list {
			e.size += len(f.name) + len(f.value)
		}
	}
	for _, c := range e.cards {
		for _, s := range c.steps {
			e.size += len(s.before.Details) + len(s.before.Value) + len(s.after.Details) + len(s.after.Value)
		}
	}
	return e.size
}

// field is a header's line.
type field struct{ name, value string }

// fields are the lines of headers, in one piece of memory: nobody can change them.
func fields(h http.Header) []field {
	count := 0
	for _, values := range h {
		count += len(values)
	}
	all := make([]field, 0, count)
	for name, values := range h {
		for _, value := range values {
			all = append(all, field{name, value})
		}
	}
	return all
}

// value is the first value of a header, in canonical form.
func value(all []field, name string) string {
	for _, f := range all {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// maxBody is how much of a body is kept, in bytes.
const maxBody = 64 << 10

// body is the beginning of a body.
type body struct {
	kept []byte
	more bool // there was more
}

func (b *body) add(data []byte) {
	room := maxBody - len(b.kept)
	b.more = b.more || len(data) > room
	b.kept = append(b.kept, data[:min(room, len(data))]...)
}

// watched tells whether calls of a path are kept: not those of the sandbox itself, of pages and of what no caller sends.
func watched(path string) bool {
	if len(path) < 2 {
		return false
	}
	switch first, _, _ := strings.Cut(path[1:], "/"); first {
	case "sandbox", "docs", "openapi", "metrics", "favicon.ico":
		return false
	}
	return true
}
