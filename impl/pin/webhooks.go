package pin

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Webhook is where events are sent, for one program or for the whole server.
type Webhook struct {
	ID          string        `json:"id"`
	ProgramID   string        `json:"programId,omitempty"` // "" for one of the whole server
	URL         string        `json:"url"`
	Types       []string      `json:"types,omitempty"` // names of events; none: all
	Wants       []string      `json:"wants"`           // topics, by which the database finds it
	Description string        `json:"description,omitempty"`
	State       WebhookState  `json:"state"`
	PausedFor   PauseReason   `json:"pausedFor,omitempty"`
	Keys        []WebhookKeys `json:"keys"` // the current ones first
	Version     int64         `json:"version"`
	CreatedAt   time.Time     `json:"createdAt"`
	UpdatedAt   time.Time     `json:"updatedAt"`
}

// WebhookState is whether a webhook is sent anything.
type WebhookState string

// The states.
const (
	WebhookActive  WebhookState = "active"
	WebhookPaused  WebhookState = "paused"  // what happens waits
	WebhookDeleted WebhookState = "deleted" // for good
)

// PauseReason is why a webhook was paused.
type PauseReason string

// The reasons.
const (
	PausedAsked   PauseReason = "asked"
	PausedFailing PauseReason = "failing" // it has taken nothing for long
	PausedGone    PauseReason = "gone"    // its receiver wants no more (410)
)

// WebhookKeys are what messages to a webhook are signed by, wrapped: a secret that its receiver has too, and a key pair of
// which it has the public half.
type WebhookKeys struct {
	Secret []byte    `json:"secret"`
	Seed   []byte    `json:"seed"`
	Public []byte    `json:"public"` // 32 bytes
	Until  time.Time `json:"until,omitzero"`
}

// SigningKeys are what a message is signed by, in clear.
type SigningKeys struct {
	Secret  []byte // 24 to 64 bytes
	Private ed25519.PrivateKey
}

// announced are the events that webhooks are told of, by the names that they have there. Every other event is the trail's alone.
var announced = map[EventType]string{
	EventPINSet:            "pin.set",
	EventPINChanged:        "pin.changed",
	EventPINReset:          "pin.reset",
	EventPINRevealed:       "pin.revealed",
	EventPINFailed:         "pin.verification_failed",
	EventPINBlocked:        "pin.blocked",
	EventPINUnblocked:      "pin.unblocked",
	EventPINRefused:        "pin.refused",
	EventCardCreated:       "card.created",
	EventCardStatusChanged: "card.status_changed",
	EventSessionOpened:     "session.opened",
	EventSessionCompleted:  "session.completed",
	EventSessionExpired:    "session.expired",
	EventApprovalRequested: "approval.requested",
	EventApprovalGranted:   "approval.granted",
	EventApprovalRejected:  "approval.rejected",
	EventApprovalCancelled: "approval.cancelled",
	EventApprovalUsed:      "approval.used",
	EventApprovalExpired:   "approval.expired",
	EventKeyImported:       "key.imported",
	EventKeyGenerated:      "key.generated",
	EventKeyRequested:      "key.requested",
	EventKeyActivated:      "key.activated",
	EventKeyRetired:        "key.retired",
	EventKeyDestroyed:      "key.destroyed",
	EventKeyExported:       "key.exported",
	EventClientCreated:     "client.created",
	EventClientUpdated:     "client.updated",
	EventClientRotated:     "client.rotated",
	EventClientRevoked:     "client.revoked",
	EventClientHalted:      "client.halted",
	EventClientReleased:    "client.released",
	EventWebhookPaused:     "webhook.paused",
	EventWebhookTested:     "webhook.test",
}

// Announced is the name by which webhooks are told of an event, "" of one that they are not told of.
func (e AuditEvent) Announced() string { return announced[e.Type] }

// Topics. None is a part of another, in quotes as JSON has them.
const everything = "on *"

func topicOn(name string) string        { return "on " + name }
func topicOnly(webhookID string) string { return "only " + webhookID }

// topic is what webhooks want the event by, "" where they are not told of it. A test is for one alone.
func (e AuditEvent) topic() string {
	switch name := e.Announced(); {
	case name == "":
		return ""
	case e.Type == EventWebhookTested:
		return topicOnly(e.Subject)
	default:
		return topicOn(name)
	}
}

// topics are those that a webhook wants.
func (w Webhook) topics() []string {
	switch {
	case w.State == WebhookDeleted:
		return nil
	case len(w.Types) == 0:
		return []string{everything, topicOnly(w.ID)}
	}
	wanted := []string{topicOnly(w.ID)}
	for _, name := range w.Types {
		wanted = append(wanted, topicOn(name))
	}
	return wanted
}

// Hears tells whether an event is for the webhook: one of its reach and of a type that it wants, but that it was paused itself.
func (w Webhook) Hears(e AuditEvent) bool {
	topic := e.topic()
	switch {
	case topic == "", w.ProgramID != "" && w.ProgramID != e.ProgramID, e.Type == EventWebhookPaused && e.Subject == w.ID:
		return false
	case slices.Contains(w.Wants, topic):
		return true
	}
	return e.Type != EventWebhookTested && slices.Contains(w.Wants, everything)
}

// webhookSecretBytes is how long a drawn secret is.
const webhookSecretBytes = 32

// CreateWebhook adds a webhook, and returns its secret (whsec_ and Base64), which is kept wrapped and never told again: NotFound for
// the program, Forbidden for callers of another one, InvalidField for the types, Duplicate for an id that is given and taken.
func (v *Vault) CreateWebhook(ctx context.Context, w Webhook, m Memo) (Webhook, string, error) {
	if !CallerFrom(ctx).Reaches(w.ProgramID) {
		return Webhook{}, "", &Error{Code: Forbidden}
	}
	if w.ProgramID != "" {
		if _, err := v.Program(ctx, w.ProgramID); err != nil {
			return Webhook{}, "", err
		}
	}
	if w.ID == "" {
		id, err := uuid.NewV7FromReader(v.rand)
		if err != nil {
			return Webhook{}, "", &Error{Code: Internal, Err: err}
		}
		w.ID = id.String()
	}
	w.Version, w.CreatedAt = 1, v.clock()
	keys, secret, err := v.webhookKeys(w.ID)
	if err != nil {
		return Webhook{}, "", err
	}
	w.Keys = []WebhookKeys{keys}
	w, err = v.writeWebhook(ctx, EventWebhookCreated, Webhook{}, w, m)
	return w, secret, err
}

// UpdateWebhook changes a webhook's URL, types, description or state: NotFound, InvalidField, Conflict, and what patch returns.
func (v *Vault) UpdateWebhook(ctx context.Context, id string, patch func(*Webhook) error, m Memo) (Webhook, error) {
	before, err := v.Webhook(ctx, id)
	if err != nil {
		return Webhook{}, err
	}
	w := before
	if err := patch(&w); err != nil {
		return Webhook{}, err
	}
	w.ID, w.ProgramID, w.Keys, w.Version, w.CreatedAt = before.ID, before.ProgramID, before.Keys, before.Version+1, before.CreatedAt
	t := EventWebhookUpdated
	switch w.State {
	case before.State:
	case WebhookPaused:
		t = EventWebhookPaused
	case WebhookActive:
		t, w.PausedFor = EventWebhookResumed, ""
	}
	return v.writeWebhook(ctx, t, before, w, m)
}

// RotateWebhook gives a webhook other keys, and returns the new secret. Messages are signed by the old ones too for overlap:
// NotFound, Conflict.
func (v *Vault) RotateWebhook(ctx context.Context, id string, overlap time.Duration, m Memo) (Webhook, string, error) {
	before, err := v.Webhook(ctx, id)
	if err != nil {
		return Webhook{}, "", err
	}
	keys, secret, err := v.webhookKeys(id)
	if err != nil {
		return Webhook{}, "", err
	}
	w, now := before, v.clock()
	w.Keys = []WebhookKeys{keys}
	for i, old := range before.Keys {
		if end := now.Add(overlap); i == 0 || old.Until.After(end) {
			old.Until = end
		}
		if now.Before(old.Until) && len(w.Keys) < maxWebhookKeys {
			w.Keys = append(w.Keys, old)
		}
	}
	w.Version++
	w, err = v.writeWebhook(ctx, EventWebhookRotated, before, w, m)
	return w, secret, err
}

// maxWebhookKeys bounds how many signatures a message has of a kind.
const maxWebhookKeys = 3

// DeleteWebhook ends a webhook for good, and forgets its keys: NotFound, Conflict.
func (v *Vault) DeleteWebhook(ctx context.Context, id string, m Memo) error {
	before, err := v.Webhook(ctx, id)
	if err != nil {
		return err
	}
	w := before
	w.State, w.PausedFor, w.Keys = WebhookDeleted, "", nil
	w.Version++
	_, err = v.writeWebhook(ctx, EventWebhookDeleted, before, w, m)
	return err
}

// TestWebhook has a test sent to a webhook: NotFound.
func (v *Vault) TestWebhook(ctx context.Context, id string, m Memo) error {
	w, err := v.Webhook(ctx, id)
	if err != nil {
		return err
	}
	return v.enter(ctx, entry{event: AuditEvent{Type: EventWebhookTested, ProgramID: w.ProgramID, Subject: w.ID}}, m)
}

// NoteReplay tells the trail that events were sent to a webhook once more: NotFound. result is what the memo hears of.
func (v *Vault) NoteReplay(ctx context.Context, id string, result any, m Memo) error {
	w, err := v.Webhook(ctx, id)
	if err != nil {
		return err
	}
	return v.enter(ctx, entry{event: AuditEvent{Type: EventWebhookReplayed, ProgramID: w.ProgramID, Subject: w.ID}, result: result}, m)
}

func (v *Vault) writeWebhook(ctx context.Context, t EventType, before, w Webhook, m Memo) (Webhook, error) {
	for _, name := range w.Types {
		if !slices.Contains(EventNames(), name) {
			return Webhook{}, &Error{Code: InvalidField, Field: "types"}
		}
	}
	w.Wants, w.UpdatedAt = w.topics(), v.clock()
	row, err := Sealed(v.keys, Row{Table: TableWebhooks, ID: w.ID, ProgramID: w.ProgramID, Version: w.Version}, w)
	if err != nil {
		return Webhook{}, err
	}
	e := AuditEvent{Type: t, ProgramID: w.ProgramID, Subject: w.ID, Version: w.Version,
		Changes: changes(before.told(), w.told())}
	if t == EventWebhookPaused {
		e.Outcome = string(w.PausedFor)
	}
	return w, v.enter(ctx, entry{event: e, row: &row, result: w.withoutSecrets()}, m)
}

// withoutSecrets is the webhook as a record of the call may keep it.
func (w Webhook) withoutSecrets() Webhook {
	if len(w.Keys) > 0 {
		w.Keys = []WebhookKeys{{Public: w.Keys[0].Public}}
	}
	return w
}

// told is what the trail tells of a webhook: not its keys, and of its URL neither path nor query, which may be a secret.
func (w Webhook) told() map[string]string {
	all := map[string]string{"state": string(w.State), "pausedFor": string(w.PausedFor), "types": strings.Join(w.Types, " ")}
	if u, err := url.Parse(w.URL); err == nil && w.URL != "" {
		all["url"] = u.Scheme + "://" + u.Host
	}
	return all
}

// EventNames are the names of all events that webhooks are told of, sorted; a test is no one's to choose.
func EventNames() []string {
	var names []string
	for t, name := range announced {
		if t != EventWebhookTested {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// webhookKeys draws keys. secret is as the receiver is shown it.
func (v *Vault) webhookKeys(webhookID string) (k WebhookKeys, secret string, err error) {
	var drawn [webhookSecretBytes + ed25519.SeedSize]byte
	if _, err := io.ReadFull(v.rand, drawn[:]); err != nil {
		return k, "", &Error{Code: Internal, Err: err}
	}
	defer clear(drawn[:])
	shared, seed := drawn[:webhookSecretBytes], drawn[webhookSecretBytes:]
	if k.Secret, err = v.keys.Seal(UseKeyWrap, shared, webhookBound(webhookID, "secret")); err != nil {
		return k, "", err
	}
	k.Seed, err = v.keys.Seal(UseKeyWrap, seed, webhookBound(webhookID, "seed"))
	private := ed25519.NewKeyFromSeed(seed)
	defer clear(private)
	k.Public = slices.Clone(private[ed25519.PublicKeySize:])
	return k, "whsec_" + base64.StdEncoding.EncodeToString(shared), err
}

// SigningKeys are those that messages to a webhook are signed by now, the current ones first.
func (v *Vault) SigningKeys(w Webhook) ([]SigningKeys, error) {
	var all []SigningKeys
	for i, k := range w.Keys {
		if i > 0 && !v.clock().Before(k.Until) {
			continue
		}
		secret, err := v.keys.Open(UseKeyWrap, k.Secret, webhookBound(w.ID, "secret"))
		if err != nil {
			return nil, err
		}
		seed, err := v.keys.Open(UseKeyWrap, k.Seed, webhookBound(w.ID, "seed"))
		if err != nil {
			return nil, err
		}
		all = append(all, SigningKeys{Secret: secret, Private: ed25519.NewKeyFromSeed(seed)})
	}
	return all, nil
}

// webhookBound is what a key of a webhook is bound to.
func webhookBound(id, what string) []byte { return frame("webhook", id, what) }

func (v *Vault) openWebhook(ctx context.Context, row Row) (Webhook, error) {
	var w Webhook
	if err := v.unseal(ctx, row, &w); err != nil {
		return Webhook{}, err
	}
	if w.ID != row.ID || w.ProgramID != row.ProgramID || w.Version != row.Version {
		return Webhook{}, v.broken(ctx, string(TableWebhooks), row.ID)
	}
	return w, nil
}

// Webhook finds a webhook in the caller's reach, as it stands: NotFound, for one that was deleted too.
func (v *Vault) Webhook(ctx context.Context, id string) (Webhook, error) {
	row, err := v.store.Row(ctx, TableWebhooks, "", id)
	if err != nil {
		return Webhook{}, err
	}
	w, err := v.openWebhook(ctx, row)
	if err == nil && (w.State == WebhookDeleted || !CallerFrom(ctx).Reaches(w.ProgramID)) {
		return Webhook{}, &Error{Code: NotFound}
	}
	return w, err
}

// Webhooks lists the webhooks in the caller's reach.
func (v *Vault) Webhooks(ctx context.Context, page Page) ([]Webhook, error) {
	own, some := CallerFrom(ctx).within()
	var out []Webhook
	for some && len(out) < page.Limit {
		rows, err := v.store.List(ctx, TableWebhooks, own, page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			w, err := v.openWebhook(ctx, row)
			if err != nil {
				return nil, err
			}
			if page.After = w.ID; w.State != WebhookDeleted && len(out) < page.Limit {
				out = append(out, w)
			}
		}
		if len(rows) < page.Limit {
			break
		}
	}
	return out, nil
}

// EventAt reads the event at a place of a chain, and holds it against its MAC and so against the event before it, or against what
// covers it where its key is retired: NotFound, and Internal where it was tampered with.
func (v *Vault) EventAt(ctx context.Context, chain string, seq int64) (AuditEvent, error) {
	rows, err := v.store.ChainEvents(ctx, chain, max(seq-2, 0), 2)
	if err != nil {
		return AuditEvent{}, err
	}
	var before []byte
	for _, r := range rows {
		switch {
		case r.Chain != chain || r.Seq > seq:
		case r.Seq < seq:
			before = r.MAC
		case v.keys.VerifyMAC(UseAudit, r.macInput(before), r.MAC):
			return r.event()
		default:
			if _, there := v.keys.KeyID(UseAudit, r.MAC); !there {
				return v.coveredEvent(ctx, r)
			}
			return AuditEvent{}, v.broken(ctx, tableEvents, chain)
		}
	}
	return AuditEvent{}, &Error{Code: NotFound}
}

// What is remembered of a walk along a chain: as many of the events after the one that was asked for, and so many of all walks.
const (
	coveredAhead = 1 << 12
	maxCovered   = 1 << 16
)

// coveredEvent vouches for an event whose key is retired: an audit.rekeyed after it, under a key that is there, covers a digest of all
// before. So it takes the whole chain up to that one, which vouches for the events between too: their hashes are remembered, since who
// asks for one event of a chain, to tell a webhook, asks for the next ones after it.
func (v *Vault) coveredEvent(ctx context.Context, wanted EventRow) (AuditEvent, error) {
	hash := [sha256.Size]byte(wanted.Hash())
	if v.covered.Contains(hash) {
		return wanted.event()
	}
	var before Head
	var met [][sha256.Size]byte // from the wanted one on
	for r, err := range v.ChainRows(ctx, wanted.Chain, 0, math.MaxInt64) {
		if err != nil {
			return AuditEvent{}, err
		}
		if r.Seq != before.Seq+1 {
			break
		}
		if covers, is := r.covers(); is && len(met) > 0 && met[0] == hash && bytes.Equal(covers, before.Digest) && v.keys.VerifyMAC(UseAudit, r.macInput(before.MAC), r.MAC) {
			for _, h := range met {
				v.covered.Add(h, struct{}{})
			}
			return wanted.event()
		}
		if r.Seq >= wanted.Seq && len(met) < coveredAhead {
			met = append(met, [sha256.Size]byte(r.Hash()))
		}
		before = Head{Seq: r.Seq, MAC: r.MAC, Digest: r.digest(before)}
	}
	return AuditEvent{}, v.broken(ctx, tableEvents, wanted.Chain)
}
