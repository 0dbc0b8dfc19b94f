package pin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
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
	EventPINReset          EventType = "pin.reset"
	EventPINVerified       EventType = "pin.verified"
	EventPINFailed         EventType = "pin.failed"
	EventPINBlocked        EventType = "pin.blocked"
	EventPINUnblocked      EventType = "pin.unblocked"
	EventPINRevealed       EventType = "pin.revealed"
	EventPINRefused        EventType = "pin.refused"
	EventSessionOpened     EventType = "pin.session_opened"
	EventSessionCompleted  EventType = "pin.session_completed"
	EventSessionExpired    EventType = "pin.session_expired"
	EventApprovalRequested EventType = "approval.requested"
	EventApprovalGranted   EventType = "approval.granted"
	EventApprovalRejected  EventType = "approval.rejected"
	EventApprovalCancelled EventType = "approval.cancelled"
	EventApprovalUsed      EventType = "approval.used"
	EventApprovalExpired   EventType = "approval.expired"
	EventProgramCreated    EventType = "program.created"
	EventProgramUpdated    EventType = "program.updated"
	EventClientCreated     EventType = "client.created"
	EventClientUpdated     EventType = "client.updated"
	EventClientRotated     EventType = "client.rotated"
	EventClientRevoked     EventType = "client.revoked"
	EventClientHalted      EventType = "client.halted" // its PIN verifications, by the alarm
	EventClientReleased    EventType = "client.released"
	EventKeyImported       EventType = "key.imported"
	EventKeyGenerated      EventType = "key.generated"
	EventKeyRequested      EventType = "key.requested" // by components
	EventKeyComponent      EventType = "key.component_entered"
	EventKeyConfirmed      EventType = "key.confirmed"
	EventKeyActivated      EventType = "key.activated"
	EventKeyRetired        EventType = "key.retired" // or is to be
	EventKeyDestroyed      EventType = "key.destroyed"
	EventKeyExported       EventType = "key.exported"
	EventKeyRefused        EventType = "key.refused" // a component, a confirmation, a key block
	EventPINTranslated     EventType = "pin.translated"
	EventPINDerived        EventType = "pin.derived" // a PVV, natural PIN or offset was
	EventPINMailed         EventType = "pin.mailed"
	EventPortfolioExported EventType = "portfolio.exported"
	EventWebhookCreated    EventType = "webhook.created"
	EventWebhookUpdated    EventType = "webhook.updated"
	EventWebhookRotated    EventType = "webhook.rotated"
	EventWebhookPaused     EventType = "webhook.paused"
	EventWebhookResumed    EventType = "webhook.resumed"
	EventWebhookDeleted    EventType = "webhook.deleted"
	EventWebhookTested     EventType = "webhook.tested"
	EventWebhookReplayed   EventType = "webhook.replayed"
	EventVaultInitialized  EventType = "vault.initialized"
	EventLoginRefused      EventType = "login.refused"
	EventAccessRefused     EventType = "access.refused"
	EventAuditRekeyed      EventType = "audit.rekeyed"
)

// AuditEvent is one line of the append-only audit trail. It never holds a PIN, a PIN block or a PAN.
//
// Events form one chain a card, and one a program for what concerns no card: Seq counts from 1 and
// MAC covers the event and its predecessor's MAC, so that a changed, removed or inserted event shows.
// The newest event's place and MAC stand under the seal of the card, or of the chain's own row.
//
// Events are never written anew, and yet the key of their MACs may end. So where a chain goes on under another key, it does
// with an audit.rekeyed, which covers a digest of all events before it: that they are what they were is then held by
// its MAC.
type AuditEvent struct {
	ID          string        `json:"-"` // UUIDv7, see eventid.go
	Chain       string        `json:"-"` // the card's id, or the program's, or "server"
	Seq         int64         `json:"-"`
	ProgramID   string        `json:"-"`
	MAC         []byte        `json:"-"`
	Type        EventType     `json:"type"`
	CardID      string        `json:"cardId,omitempty"`   // "" where no card is concerned
	Subject     string        `json:"subject,omitempty"`  // id of the program, client, session, approval, key or record concerned, "" otherwise
	Recorded    bool          `json:"recorded,omitempty"` // Subject is a record of Contract, written with the event
	Outcome     string        `json:"outcome,omitempty"`  // of pin.verified, pin.failed and pin.blocked a Result, of a refusal its Code, "" otherwise
	Left        *int          `json:"left,omitempty"`     // of pin.failed the tries that are left, 0..limit, nil otherwise
	Changes     []FieldChange `json:"changes,omitempty"`  // what was changed
	Version     int64         `json:"version,omitempty"`  // of the program, client or key concerned, after the event
	At          time.Time     `json:"at"`
	Contract    string        `json:"contract,omitempty"`
	ClientID    string        `json:"clientId,omitempty"`
	RemoteAddr  string        `json:"remoteAddr,omitempty"`
	TraceID     string        `json:"traceId,omitempty"`
	Description string        `json:"description,omitempty"`
	UpdatedBy   string        `json:"updatedBy,omitempty"`
	Covers      []byte        `json:"covers,omitempty"` // of audit.rekeyed: the digest of all events before it, see Head
}

// FieldChange is what a field was and is. Values are left out where they are nobody's business: of a
// cardholder's data the trail keeps the names alone.
type FieldChange struct {
	Field string `json:"field"`
	Old   string `json:"old,omitempty"`
	New   string `json:"new,omitempty"`
}

// EventRow is an event at rest.
type EventRow struct {
	Chain     string
	Seq       int64
	ID        string
	ProgramID string
	Body      []byte // JSON
	MAC       []byte

	Topic string // what webhooks want it by, "" where none does; write only
}

// macInput is what an event's MAC covers.
func (r EventRow) macInput(previous []byte) []byte {
	return frame(string(previous), r.Chain, strconv.FormatInt(r.Seq, 10), r.ID, r.ProgramID, string(r.Body))
}

// Hash is SHA-256 over all of the row, the MAC included, so that nobody who has not seen it can guess what the hash is of.
func (r EventRow) Hash() []byte {
	sum := sha256.Sum256(frame(r.Chain, strconv.FormatInt(r.Seq, 10), r.ID, r.ProgramID, string(r.Body), string(r.MAC)))
	return sum[:]
}

// Extended is the digest of a chain with one event more: SHA-256 over the digest up to the event before, nil where there is
// none, and the event's [EventRow.Hash]. It takes no key, and of the events before and after nothing but hashes.
func Extended(digest, hash []byte) []byte {
	sum := sha256.Sum256(frame(string(digest), string(hash)))
	return sum[:]
}

// digest is that of a chain up to this event. Each step takes one event, however long the chain.
func (r EventRow) digest(before Head) []byte {
	if before.Seq > 0 && len(before.Digest) == 0 {
		return nil
	}
	return Extended(before.Digest, r.Hash())
}

// covers is the digest that an audit.rekeyed says it covers.
func (r EventRow) covers() (digest []byte, is bool) {
	if !bytes.Contains(r.Body, []byte(EventAuditRekeyed)) {
		return nil, false
	}
	e, err := r.event()
	return e.Covers, err == nil && e.Type == EventAuditRekeyed
}

// Event is what a row says. Whether it is true its chain tells.
func (r EventRow) Event() (AuditEvent, error) { return r.event() }

func (r EventRow) event() (AuditEvent, error) {
	var e AuditEvent
	if !decode(r.Body, &e) {
		return AuditEvent{}, &Error{Code: Internal, Err: errTampered}
	}
	e.ID, e.Chain, e.Seq, e.ProgramID, e.MAC = r.ID, r.Chain, r.Seq, r.ProgramID, r.MAC
	return e, nil
}

// signed puts the caller, the memo and the time to events.
func (v *Vault) signed(ctx context.Context, events []AuditEvent, m Memo) {
	who := CallerFrom(ctx)
	now := v.clock()
	for i := range events {
		e := &events[i]
		e.At = now
		e.Contract, e.ClientID, e.RemoteAddr, e.TraceID = who.Contract, who.ClientID, who.RemoteAddr, who.TraceID
		e.Description, e.UpdatedBy = MaskNumbers(m.Description), MaskNumbers(m.UpdatedBy)
	}
}

// chained appends events to a chain that has come as far as head, and returns how far it comes. Wherever the chain goes on
// under another key, an audit.rekeyed goes before the event; where there are no events and the newest one is under a former
// key, it stands alone.
func (v *Vault) chained(head Head, chain, programID string, events []AuditEvent) (rows []EventRow, _ Head, err error) {
	if len(events) == 0 && !v.keys.Stale(UseAudit, head.MAC) {
		return nil, head, nil
	}
	if len(events) == 0 {
		events = []AuditEvent{v.rekeyed(head, chain, programID)}
	}
	for len(events) > 0 {
		row, err := v.link(head, chain, programID, events[0])
		if err != nil {
			return nil, head, err
		}
		// By what the keys have made, not by what they would make: a key may become the current one at any moment.
		if was, _ := v.keys.KeyID(UseAudit, head.MAC); head.Seq > 0 && events[0].Type != EventAuditRekeyed {
			if is, _ := v.keys.KeyID(UseAudit, row.MAC); is != was {
				events = append([]AuditEvent{v.rekeyed(head, chain, programID)}, events...)
				continue
			}
		}
		rows, events = append(rows, row), events[1:]
		head = Head{Seq: row.Seq, MAC: row.MAC, Digest: row.digest(head), Drawn: tickOf(row.ID)}
	}
	return rows, head, nil
}

// rekeyed is the event with which a chain goes on under another key. It is nobody's doing.
func (v *Vault) rekeyed(head Head, chain, programID string) AuditEvent {
	e := AuditEvent{Type: EventAuditRekeyed, At: v.clock(), Covers: head.Digest}
	if chain != chainOf(programID) {
		e.CardID = chain
	}
	return e
}

// link is an event as it follows a chain's newest one.
func (v *Vault) link(head Head, chain, programID string, e AuditEvent) (EventRow, error) {
	id, err := eventID(v.store.Now(), head.Drawn, v.rand)
	if err != nil {
		return EventRow{}, &Error{Code: Internal, Err: err}
	}
	body, err := encode(e)
	if err != nil {
		return EventRow{}, err
	}
	row := EventRow{Chain: chain, Seq: head.Seq + 1, ID: id, ProgramID: programID, Body: body, Topic: e.topic()}
	row.MAC, err = v.keys.MAC(UseAudit, row.macInput(head.MAC))
	return row, err
}

// AuditEvents lists events in the caller's reach, oldest first.
func (v *Vault) AuditEvents(ctx context.Context, q AuditQuery) ([]AuditEvent, error) {
	own, some := CallerFrom(ctx).within()
	if !some {
		return nil, nil
	}
	if own != "" {
		q.ProgramID = own
	}
	rows, err := v.store.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	events := make([]AuditEvent, len(rows))
	for i, r := range rows {
		if events[i], err = r.event(); err != nil {
			return nil, v.broken(ctx, tableEvents, r.Chain)
		}
	}
	return events, nil
}

// changes lists the fields in which two descriptions differ, in the order of their names. Where any
// fields are told, the others are named without their values: what a cardholder is called and where they
// live does not belong in a trail that only grows. Contracts' settings (see [audited]) are always told.
func changes(before, after any, told ...string) []FieldChange {
	old, fresh := fields(before), fields(after)
	for name := range old {
		if _, ok := fresh[name]; !ok {
			fresh[name] = ""
		}
	}
	for _, name := range []string{"version", "createdAt", "updatedAt"} { // of every change
		delete(fresh, name)
	}
	var out []FieldChange
	for _, name := range slices.Sorted(maps.Keys(fresh)) {
		change := FieldChange{name, old[name], fresh[name]}
		if change.Old == change.New {
			continue
		}
		if len(told) > 0 && !slices.Contains(told, name) && !strings.Contains(name, ".") {
			change.Old, change.New = "", ""
		}
		out = append(out, change)
	}
	return out
}

// ours tells whether a text is an id or a time that was made here, whose digits look like a PAN's.
func ours(text string) bool {
	if uuid.Validate(text) == nil {
		return true
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return err == nil && at.Format(time.RFC3339Nano) == text // others write more digits than a time has
}

// fields are a value's members as text.
func fields(value any) map[string]string {
	text, err := json.Marshal(value)
	var members map[string]json.RawMessage
	if err != nil || json.Unmarshal(text, &members) != nil {
		return map[string]string{}
	}
	out := map[string]string{}
	for name, m := range members {
		var s string
		if json.Unmarshal(m, &s) != nil {
			s = string(m)
		}
		if out[name] = s; !ours(s) {
			out[name] = MaskNumbers(s)
		}
	}
	return out
}
