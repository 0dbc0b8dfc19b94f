package pin

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// EventType names what happened. Events about PINs and cards share their names with the webhooks
// that announce them.
type EventType string

// The event types.
const (
	EventCardCreated       EventType = "card.created"
	EventCardUpdated       EventType = "card.updated"
	EventCardStatusChanged EventType = "card.status_changed"
	EventPINSet            EventType = "pin.set"
	EventPINChanged        EventType = "pin.changed"
	EventPINVerified       EventType = "pin.verified"
	EventPINFailed         EventType = "pin.failed"
	EventPINBlocked        EventType = "pin.blocked"
	EventPINUnblocked      EventType = "pin.unblocked"
	EventPINRevealed       EventType = "pin.revealed"
	EventSessionOpened     EventType = "pin.session_opened"
	EventProgramCreated    EventType = "program.created"
	EventProgramUpdated    EventType = "program.updated"
	EventClientCreated     EventType = "client.created"
	EventClientRotated     EventType = "client.rotated"
	EventClientRevoked     EventType = "client.revoked"
	EventKeyImported       EventType = "key.imported"
)

// AuditEvent is one line of the append-only audit trail. It never holds a PIN, a PIN block or a PAN.
//
// Events form one chain a card, and one a program for what concerns no card: Seq counts from 1 and
// MAC covers the event and its predecessor's MAC, so that a changed, removed or inserted event shows.
type AuditEvent struct {
	ID          string // UUIDv7
	Chain       string // the card's id, or the program's
	Seq         int64
	Type        EventType
	ProgramID   string
	CardID      string // "" where no card is concerned
	Subject     string // id of the program, client, session or key concerned, "" otherwise
	Outcome     string // of pin.verified and pin.failed: a Result, "" otherwise
	At          time.Time
	Contract    string
	ClientID    string
	RemoteAddr  string
	TraceID     string
	Description string
	UpdatedBy   string
	MAC         []byte
}

// macInput is what an event's MAC covers.
func (e AuditEvent) macInput(previous []byte) []byte {
	return frame(string(previous), e.ID, e.Chain, strconv.FormatInt(e.Seq, 10), string(e.Type), e.ProgramID,
		e.CardID, e.Subject, e.Outcome, strconv.FormatInt(e.At.UnixMicro(), 10), e.Contract, e.ClientID, e.RemoteAddr,
		e.TraceID, e.Description, e.UpdatedBy)
}

// audit appends an event to its chain, with the caller from ctx.
func (v *Vault) audit(ctx context.Context, tx Tx, e AuditEvent, m Memo) error {
	id, err := uuid.NewV7FromReader(v.rand)
	if err != nil {
		return &Error{Code: Internal, Err: err}
	}
	who := CallerFrom(ctx)
	e.ID, e.At = id.String(), v.clock()
	e.Contract, e.ClientID, e.RemoteAddr, e.TraceID = who.Contract, who.ClientID, who.RemoteAddr, who.TraceID
	e.Description, e.UpdatedBy = maskNumbers(m.Description), maskNumbers(m.UpdatedBy)
	if e.Chain == "" {
		e.Chain = e.ProgramID
	}
	seq, previous, err := tx.LastAudit(e.Chain)
	if err != nil {
		return err
	}
	e.Seq = seq + 1
	if e.MAC, err = v.keys.MAC(UseAudit, e.macInput(previous)); err != nil {
		return err
	}
	return tx.InsertAudit(e)
}

// cardEvent is an event on a card's chain.
func cardEvent(t EventType, c Card) AuditEvent {
	return AuditEvent{Type: t, Chain: c.ID, CardID: c.ID, ProgramID: c.ProgramID}
}

// VerifyChain reports the place of the first event that is missing or does not match, or 0 when the
// chain is whole. Events must be all events of one chain, oldest first.
func (v *Vault) VerifyChain(events []AuditEvent) int64 {
	var previous []byte
	for i, e := range events {
		want := int64(i + 1)
		if e.Seq != want || !v.keys.VerifyMAC(UseAudit, e.macInput(previous), e.MAC) {
			return want
		}
		previous = e.MAC
	}
	return 0
}

// AuditEvents lists events in the caller's reach, oldest first.
func (v *Vault) AuditEvents(ctx context.Context, q AuditQuery) ([]AuditEvent, error) {
	if who := CallerFrom(ctx); who.ProgramID != "" {
		q.ProgramID = who.ProgramID
	}
	return v.store.Audit(ctx, q)
}
