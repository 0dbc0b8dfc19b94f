package pin

import (
	"context"
	"errors"
	"time"
)

// Query finds cards: by id, or by references or attributes, all of which must hold. ProgramID "" means
// any program and comes from callers of the whole server only.
type Query struct {
	ProgramID  string
	CardID     string
	References []Reference

	// ProgramCode and DevicePlanCode narrow the result where they are not empty.
	ProgramCode    string
	DevicePlanCode string

	Holder

	// Sequence, unless it is nil, chooses among several cards that all else fits, such as one and its renewals: it
	// is their PAN sequence number, "" that of a card without one. It is not held against a card that is the only one.
	Sequence *string

	// Choose, if any, says which of the cards found is meant, none among them, where NotFound and Ambiguous are not the answers.
	Choose func([]Record) (Record, error)

	// Check, if any, holds what else a contract knows of the card against it; an error ends the operation.
	// It runs inside the operation's one look-up, and again when the card was changed meanwhile.
	Check func(Record) error

	unless []string  // see [Search]
	found  []CardRow // what a search has found a moment ago, nil: nothing has been searched for
}

// Holder narrows a search by attributes whose values several cards may share, where they are not
// empty. They are enough to find cards by, too.
type Holder struct {
	CustomerID    string
	MobileNumber  string
	CardProfileID string
}

// Lookup finds a card: the row of a value of a kind. Where several cards of a program may share a value
// of the kind, each has a row of its own, whose slot is the card's id; otherwise the slot is empty, and
// no second card of the program can have the value.
type Lookup struct {
	Kind      Kind
	Value     string
	ProgramID string
	Slot      string
	CardID    string
}

// Search is what the store must know of a [Query]: by what to find cards. Everything else is held
// against the sealed cards that it finds.
type Search struct {
	CardID    string   // or
	Kind      Kind     // a kind of look-up
	Values    []string // any of these values; several only while an index key is rotated
	OrKind    Kind     // or, unless "", another kind of look-up, and
	OrValues  []string // any of these values of it
	ProgramID string   // "": of any program
	Session   string   // or else the id of a PIN-entry session: its card is found, and the session with it
	Limit     int

	Unless []string // ids of replay records: where one is there that expires after Now, nothing is found
	Now    int64    // microseconds since 1970
}

// CardRow is a card at rest.
type CardRow struct {
	ID        string
	ProgramID string
	Revision  int64  // counts changes, from 1
	Details   []byte // JSON of a Card
	Value     []byte // JSON of a Value
	Seal      []byte // MAC over all of these

	ProgramVersion int64 // of its program, now, 0 where that is gone; read only
	Session        *Row  // by whose id it was searched for; read only
}

// Table names the kinds of rows besides cards, look-ups and events.
type Table string

// The tables. Rows of pin_sessions, approvals and contract_records belong to a card.
const (
	TablePrograms  Table = "programs"
	TableClients   Table = "clients"
	TableZoneKeys  Table = "zone_keys"
	TableWebhooks  Table = "webhook_endpoints"
	TableChains    Table = "chains" // heads of the audit chains that are no card's
	TableReplays   Table = "replays"
	TableSessions  Table = "pin_sessions"
	TableApprovals Table = "approvals"
	TableRecords   Table = "contract_records" // see ContractRecord
)

// Row is anything else at rest: Body is what it says, in JSON, and Seal a MAC over all of the row.
type Row struct {
	Table     Table
	ID        string
	ProgramID string
	CardID    string // of rows that belong to a card
	Version   int64  // counts changes, from 1; of a chain the place of its newest event
	ExpiresAt int64  // microseconds since 1970; of replays, sessions and approvals, 0 otherwise
	Body      []byte
	Seal      []byte

	// Was is the seal of the row, of the same version, whose place this one takes: what it says stays the same, and
	// rests under another key. nil: the row says something new.
	Was []byte
}

// Change is all that one operation writes, and it is written whole or not at all. It touches one card at
// the most.
type Change struct {
	// Card is the card's next state. Revision 1 makes it; any other takes the place of the revision
	// before it, or the change is a Conflict (card).
	Card *CardRow
	// DetailsToo tells that Details have changed as well as Value.
	DetailsToo bool
	// Rows are made where their version is 1, and otherwise take the place of the version before it, or
	// the change is a Conflict with the table's name as field. A row of version 1 that is there already
	// is a Duplicate with that name, a session's a Conflict. A row of chains takes the place of From.
	// A row of replays is made, or takes the place of one that has expired (Row.Version 1, expiry
	// at or before Now) or of the version before it, or the change is a Duplicate (replay).
	// A row of any table with a Was takes the place of the row that has it for a seal, or the change is a
	// Conflict with the table's name as field.
	Rows []Row
	// From is the place that the chain of the row of chains has come to before this change.
	From int64
	// Now decides which replays have expired: microseconds since 1970.
	Now int64
	// Events are appended: all of one chain, in order. With each that has a topic, what is to be sent of it is written for every
	// webhook of its program, or of the whole server, that wants the topic as it stands in the database at that moment.
	//
	// An event whose id says that it was drawn more than [EventLate] ago is a Conflict (audit_events), so that who reads events in the
	// order of ids has not gone past it.
	Events []EventRow
	// Add and Drop are look-ups. One that another card has is a Duplicate with the kind as field.
	Add, Drop []Lookup
}

// Page asks for the Limit rows that follow the row After, in the order of their ids.
type Page struct {
	After string
	Limit int
}

// AuditQuery selects audit events; empty fields select all. Those of one chain come in the order of
// their places in it, which may not be that of their ids: an id is drawn before the place is known.
// After is an id in either case. ID is that of the one event that is wanted.
//
// Settled leaves out those before which another one may come yet that cannot be seen now: who goes on after the last one, again
// and again, sees each event once. It is for events of all chains: those of one follow each other anyway.
type AuditQuery struct {
	ID        string
	ProgramID string
	Chain     string
	Settled   bool
	Page
}

// ErrInDoubt is in the chain of an Unavailable whose change may have been made: the connection broke
// before the database said how it ended.
var ErrInDoubt = errors.New("outcome unknown")

// Store keeps rows; it knows nothing of what they say. Every failure is an [Error]: NotFound, Duplicate
// and Conflict (see [Change]), Unavailable or Internal.
//
// impl/store/storetest holds what an implementation must do.
type Store interface {
	// Find returns at most s.Limit cards, in the order of their ids, in one round trip. None is no error. Where one of the
	// replays of s.Unless is there it is a Duplicate (replays), whether there are cards or not: the time that it takes does not tell.
	Find(ctx context.Context, s Search) ([]CardRow, error)

	// Swap makes a change durably, in one round trip where it is one card's. However many swaps of one
	// revision there are at once, one succeeds. An Unavailable with [ErrInDoubt] may have been made.
	Swap(ctx context.Context, c Change) error

	// SwapAll makes many changes, each of a card of its own, its events and new look-ups, each of them durably and whole or not at
	// all. It is in as few transactions as the database takes, and no other answer is given meanwhile: for each change there is
	// nil, or the Conflict or Duplicate that it would have been for [Store.Swap]. After an error any of them may have been made.
	SwapAll(ctx context.Context, changes []Change) ([]error, error)

	// Locked lets decide make a change of the card as it stands, while nobody else can change it, and
	// makes that change. Callers for one card are served in turn. An error of decide comes back as it is,
	// and nothing is changed. decide may run several times.
	Locked(ctx context.Context, cardID string, decide func(CardRow) (Change, error)) error

	// Row finds a row by its id; of records that of the program.
	Row(ctx context.Context, t Table, programID, id string) (Row, error)
	// List pages through a table in the order of ids; a program, unless "", narrows it.
	List(ctx context.Context, t Table, programID string, p Page) ([]Row, error)
	// Rows pages through all rows of a table in the order of their keys, which are ids, and of rows that
	// belong to a card the card's id and then their own: those that follow the row after.
	Rows(ctx context.Context, t Table, after Row, limit int) ([]Row, error)
	// RowsOf returns the rows of a table that belong to one of the cards and have one of the ids, in no order.
	RowsOf(ctx context.Context, t Table, cardIDs, ids []string) ([]Row, error)
	// Cards pages through the cards in the order of ids; a program, unless "", narrows it.
	Cards(ctx context.Context, programID string, p Page) ([]CardRow, error)
	// CardsOf returns those of the cards that are there, in the order of ids.
	CardsOf(ctx context.Context, ids []string) ([]CardRow, error)
	// Lookups pages through the look-ups, in the order of kind, value, program and slot, after one.
	Lookups(ctx context.Context, after Lookup, limit int) ([]Lookup, error)
	// LookupsOf returns those of the look-ups that are there.
	LookupsOf(ctx context.Context, wanted []Lookup) ([]Lookup, error)
	// Holders returns the look-ups that have kind, value and program of one of the wanted, whatever their slot, in no order.
	Holders(ctx context.Context, wanted []Lookup) ([]Lookup, error)
	// Events lists events, see [AuditQuery].
	Events(ctx context.Context, q AuditQuery) ([]EventRow, error)
	// ChainEvents lists the events after a place, in the order of chains and of their places.
	ChainEvents(ctx context.Context, chain string, seq int64, limit int) ([]EventRow, error)

	// Numbers reserves n numbers of a program's sequence and returns the first of them. No number is
	// reserved twice, and later ones are greater.
	Numbers(ctx context.Context, sequence, programID string, n int64) (first int64, err error)

	// Now is the time by which ids of events are drawn: the database's, as far as this process knows it. It asks nobody.
	Now() time.Time

	// Ping asks the database.
	Ping(ctx context.Context) error
}
