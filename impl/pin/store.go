package pin

import (
	"context"
	"time"
)

// Query finds cards: by id, or by references, all of which must hold. ProgramID "" means any
// program and comes from callers of the whole server only.
type Query struct {
	ProgramID  string
	CardID     string
	References []Reference

	// ProgramCode and DevicePlanCode narrow the result where they are not empty.
	ProgramCode    string
	DevicePlanCode string

	Holder
}

// Holder narrows a search by attributes whose values several cards may share, where they are not
// empty. They are enough to find cards by, too.
type Holder struct {
	CustomerID    string
	NotCustomerID string // cards of anybody else
	MobileNumber  string
	CardProfileID string
}

// Criterion is one condition of a [Query] as the store sees it: the card has a reference of that kind
// with one of the values. There are several only for a PAN whose index key is being rotated.
type Criterion struct {
	Kind   Kind
	Values []string
}

// Search is a [Query] whose PANs have become keyed hashes.
type Search struct {
	ProgramID      string
	CardID         string
	Criteria       []Criterion
	ProgramCode    string
	DevicePlanCode string
	Holder
	Limit int
}

// Page asks for the Limit rows that follow the row After, in the order of their ids.
type Page struct {
	After string
	Limit int
}

// AuditQuery selects audit events; empty fields select all. Those of one chain come in the order of
// their places in it, which may not be that of their ids: an id is drawn before the place is known.
// After is an id in either case.
type AuditQuery struct {
	ProgramID string
	Chain     string
	Page
}

// Taken is what [Tx.TakeTry] returns: the PIN as it stood when the try was taken.
type Taken struct {
	State      PINState
	Verifier   []byte
	Version    int64
	TriesLeft  int   // after the take
	TakeNumber int64 // this take's place among all takes of the card
}

// Store keeps the vault's state. Every failure is an [Error]: NotFound, Duplicate (with Field: the kind
// of reference, or program, client, zoneKey, card, replay), Conflict, Unavailable or Internal.
//
// impl/store/storetest holds what an implementation must do.
type Store interface {
	// Find returns at most s.Limit cards, in the order of their ids, in one round trip, with their
	// references as [SortReferences] orders them. None is no error.
	Find(ctx context.Context, s Search) ([]Record, error)

	// TakeTry is Tx.TakeTry in a transaction of its own, in one round trip.
	TakeTry(ctx context.Context, cardID string, limit int) (taken Taken, admitted bool, err error)

	// InTx runs fn in one transaction, which is committed durably before InTx returns nil. Where the
	// database reports a serialization failure, fn is run again: it must have no effect but through tx.
	// An error of fn undoes the transaction and comes back as it is. So does a statement of tx that
	// failed, even if fn keeps the error to itself.
	InTx(ctx context.Context, fn func(tx Tx) error) error

	Program(ctx context.Context, id string) (Program, error)
	Programs(ctx context.Context, p Page) ([]Program, error)
	Client(ctx context.Context, id string) (Client, error)
	Clients(ctx context.Context, programID string, p Page) ([]Client, error) // active ones; "": of all programs
	ZoneKey(ctx context.Context, id string) (ZoneKey, error)
	Audit(ctx context.Context, q AuditQuery) ([]AuditEvent, error)
	Replay(ctx context.Context, scope, key string) (Replay, error) // expired or not
	ServiceRequest(ctx context.Context, number string) (ServiceRequest, error)
	Session(ctx context.Context, id string) (Session, error) // in any state, expired or not

	// Ping asks the database.
	Ping(ctx context.Context) error
}

// Tx is one transaction. To change a row that is not there is NotFound; TakeTry then admits nobody.
type Tx interface {
	InsertProgram(Program) error
	UpdateProgram(Program) error // Conflict unless the stored version is p.Version-1
	InsertClient(Client) error
	UpdateClient(Client) error // as UpdateProgram
	InsertZoneKey(ZoneKey) error

	// InsertCard writes the card, its references (the PAN's keyed hash among them, panIndex, "" for
	// none) and its PIN.
	InsertCard(c Card, panIndex string, p PINRecord) error
	// UpdateCard writes the card and puts its references, but for the PAN, in place of the old ones;
	// Conflict unless the stored version is c.Version-1.
	UpdateCard(Card) error

	// TakeTry takes one try, if the counter (never more than limit counts of it) has one left, and
	// returns the PIN as it stands. However many callers there are at once, no more are admitted than
	// there are tries: it is one UPDATE.
	TakeTry(cardID string, limit int) (taken Taken, admitted bool, err error)

	// GiveBack ends a take whose PIN was right: the counter goes to its limit, less one for every try
	// taken after this one, and never down. So a wrong guess made beside a right one still counts.
	// It returns the tries left.
	GiveBack(cardID string, takeNumber int64, limit int) (int, error)

	// ResetTries puts the counter to limit.
	ResetTries(cardID string, limit int) error

	// ReplacePIN writes state, verifier, ciphertext and time of p, keeps the counter, raises the
	// version, and remembers the verifier replaced. Unless fromVersion is 0 the stored version must
	// equal it, otherwise Conflict.
	ReplacePIN(cardID string, fromVersion int64, p PINRecord) error

	// PINHistory returns the last n verifiers that ReplacePIN replaced, newest first.
	PINHistory(cardID string, n int) ([][]byte, error)

	// DropCiphertexts forgets the retrievable PINs of a program.
	DropCiphertexts(programID string) error

	// LastAudit returns place and MAC of the chain's newest event, (0, nil) when there is none.
	LastAudit(chain string) (seq int64, mac []byte, err error)
	// InsertAudit appends; two events in one place of a chain are a serialization failure (InTx runs again).
	InsertAudit(AuditEvent) error

	// InsertReplay reserves scope and key; Duplicate when they are taken by a record not yet expired
	// at r.CreatedAt.
	InsertReplay(Replay) error
	// CompleteReplay writes Result, Done and ExpiresAt.
	CompleteReplay(Replay) error

	// NextNumber is the next number of a sequence, service_request or accosa_ref, from 1. No two
	// transactions that are committed get the same. Where transactions run side by side none waits for
	// another's number, so the numbers of those that were undone are missing.
	NextNumber(sequence string) (int64, error)
	InsertServiceRequest(ServiceRequest) error

	InsertSession(Session) error
	// TakeExchange takes one try at a session's secret, if the session is open and has one left. However
	// many callers there are at once, no more are admitted than there are tries: it is one UPDATE.
	TakeExchange(id string) (admitted bool, err error)
	// MoveSession writes state, token hash and private key of s; Conflict unless the stored state is from.
	MoveSession(s Session, from SessionState) error
}

// Replay is the record by which a repeated request gets its first answer and has no second effect.
type Replay struct {
	Scope       string // whose keys these are: the client's id
	Key         string // the idempotency key
	Endpoint    string // operation and its subject
	Fingerprint []byte // keyed MAC of the request's content
	Done        bool
	Result      []byte // JSON; what the first call returned, without secrets
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// Memo travels with a change: who said why, and what must be written in the change's own transaction.
type Memo struct {
	Description string // free text; numbers that could be PANs are masked before it is kept
	UpdatedBy   string

	// Reserve, if any, runs in the first transaction of the operation: where a try is taken, in that
	// of the take. Complete, if any, is the last thing in the operation's last transaction and gets
	// its result. An error of either undoes its transaction.
	Reserve  func(tx Tx) error
	Complete func(tx Tx, result any) error
}
