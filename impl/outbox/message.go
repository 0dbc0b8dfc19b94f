package outbox

import (
	"encoding/json"
	"io"
	"net/http"

	"pinvault/generated/events"
	"pinvault/impl/pin"
)

// headers are those that every webhook has.
type headers = events.PinSetParams

// params are an operation's headers, which are the same for all.
type params interface {
	~struct {
		WebhookID        events.WebhookID        `json:"webhook-id"`
		WebhookTimestamp events.WebhookTimestamp `json:"webhook-timestamp"`
		WebhookSignature events.WebhookSignature `json:"webhook-signature"`
	}
}

// kind is one of the document's webhooks: an event as its message, and the request that brings it.
type kind struct {
	message func(e pin.AuditEvent) any
	request func(url string, h headers, body io.Reader) (*http.Request, error)
}

func of[M any, P params](message func(e pin.AuditEvent) M, request func(url string, p *P, contentType string, body io.Reader) (*http.Request, error)) kind {
	return kind{
		message: func(e pin.AuditEvent) any { return message(e) },
		request: func(url string, h headers, body io.Reader) (*http.Request, error) {
			p := P(h)
			return request(url, &p, "application/json", body)
		},
	}
}

// kinds are all of the document's webhooks, by name.
var kinds = map[string]kind{
	"pin.set": of(func(e pin.AuditEvent) events.PinSet {
		return events.PinSet{ID: e.ID, Type: "pin.set", Timestamp: e.At, Data: card(e)}
	}, events.NewPinSetWebhookRequestWithBody),
	"pin.changed": of(func(e pin.AuditEvent) events.PinChanged {
		return events.PinChanged{ID: e.ID, Type: "pin.changed", Timestamp: e.At, Data: card(e)}
	}, events.NewPinChangedWebhookRequestWithBody),
	"pin.reset": of(func(e pin.AuditEvent) events.PinReset {
		return events.PinReset{ID: e.ID, Type: "pin.reset", Timestamp: e.At, Data: card(e)}
	}, events.NewPinResetWebhookRequestWithBody),
	"pin.revealed": of(func(e pin.AuditEvent) events.PinRevealed {
		return events.PinRevealed{ID: e.ID, Type: "pin.revealed", Timestamp: e.At, Data: card(e)}
	}, events.NewPinRevealedWebhookRequestWithBody),
	"pin.verification_failed": of(func(e pin.AuditEvent) events.PinVerificationFailed {
		return events.PinVerificationFailed{ID: e.ID, Type: "pin.verification_failed", Timestamp: e.At, Data: failed(e)}
	}, events.NewPinVerificationFailedWebhookRequestWithBody),
	"pin.blocked": of(func(e pin.AuditEvent) events.PinBlocked {
		c := card(e)
		return events.PinBlocked{ID: e.ID, Type: "pin.blocked", Timestamp: e.At, Data: events.BlockedData{Actor: c.Actor, CardID: c.CardID, ProgramID: c.ProgramID,
			Sequence: c.Sequence, TraceID: c.TraceID, Outcome: events.BlockedDataOutcome(e.Outcome)}}
	}, events.NewPinBlockedWebhookRequestWithBody),
	"pin.unblocked": of(func(e pin.AuditEvent) events.PinUnblocked {
		return events.PinUnblocked{ID: e.ID, Type: "pin.unblocked", Timestamp: e.At, Data: card(e)}
	}, events.NewPinUnblockedWebhookRequestWithBody),
	"pin.refused": of(func(e pin.AuditEvent) events.PinRefused {
		c := card(e)
		return events.PinRefused{ID: e.ID, Type: "pin.refused", Timestamp: e.At, Data: events.RefusedData{Actor: c.Actor, CardID: c.CardID, ProgramID: c.ProgramID,
			Sequence: c.Sequence, TraceID: c.TraceID, Reason: events.RefusedDataReason(e.Outcome)}}
	}, events.NewPinRefusedWebhookRequestWithBody),
	"card.created": of(func(e pin.AuditEvent) events.CardCreated {
		return events.CardCreated{ID: e.ID, Type: "card.created", Timestamp: e.At, Data: card(e)}
	}, events.NewCardCreatedWebhookRequestWithBody),
	"card.status_changed": of(func(e pin.AuditEvent) events.CardStatusChanged {
		return events.CardStatusChanged{ID: e.ID, Type: "card.status_changed", Timestamp: e.At, Data: status(e)}
	}, events.NewCardStatusChangedWebhookRequestWithBody),
	"session.opened": of(func(e pin.AuditEvent) events.SessionOpened {
		return events.SessionOpened{ID: e.ID, Type: "session.opened", Timestamp: e.At, Data: session(e)}
	}, events.NewSessionOpenedWebhookRequestWithBody),
	"session.completed": of(func(e pin.AuditEvent) events.SessionCompleted {
		return events.SessionCompleted{ID: e.ID, Type: "session.completed", Timestamp: e.At, Data: session(e)}
	}, events.NewSessionCompletedWebhookRequestWithBody),
	"session.expired": of(func(e pin.AuditEvent) events.SessionExpired {
		return events.SessionExpired{ID: e.ID, Type: "session.expired", Timestamp: e.At, Data: session(e)}
	}, events.NewSessionExpiredWebhookRequestWithBody),
	"approval.requested": of(func(e pin.AuditEvent) events.ApprovalRequested {
		return events.ApprovalRequested{ID: e.ID, Type: "approval.requested", Timestamp: e.At, Data: approval(e)}
	}, events.NewApprovalRequestedWebhookRequestWithBody),
	"approval.granted": of(func(e pin.AuditEvent) events.ApprovalGranted {
		return events.ApprovalGranted{ID: e.ID, Type: "approval.granted", Timestamp: e.At, Data: approval(e)}
	}, events.NewApprovalGrantedWebhookRequestWithBody),
	"approval.rejected": of(func(e pin.AuditEvent) events.ApprovalRejected {
		return events.ApprovalRejected{ID: e.ID, Type: "approval.rejected", Timestamp: e.At, Data: approval(e)}
	}, events.NewApprovalRejectedWebhookRequestWithBody),
	"approval.cancelled": of(func(e pin.AuditEvent) events.ApprovalCancelled {
		return events.ApprovalCancelled{ID: e.ID, Type: "approval.cancelled", Timestamp: e.At, Data: approval(e)}
	}, events.NewApprovalCancelledWebhookRequestWithBody),
	"approval.used": of(func(e pin.AuditEvent) events.ApprovalUsed {
		return events.ApprovalUsed{ID: e.ID, Type: "approval.used", Timestamp: e.At, Data: approval(e)}
	}, events.NewApprovalUsedWebhookRequestWithBody),
	"approval.expired": of(func(e pin.AuditEvent) events.ApprovalExpired {
		return events.ApprovalExpired{ID: e.ID, Type: "approval.expired", Timestamp: e.At, Data: approval(e)}
	}, events.NewApprovalExpiredWebhookRequestWithBody),
	"key.imported": of(func(e pin.AuditEvent) events.KeyImported {
		return events.KeyImported{ID: e.ID, Type: "key.imported", Timestamp: e.At, Data: key(e)}
	}, events.NewKeyImportedWebhookRequestWithBody),
	"key.generated": of(func(e pin.AuditEvent) events.KeyGenerated {
		return events.KeyGenerated{ID: e.ID, Type: "key.generated", Timestamp: e.At, Data: key(e)}
	}, events.NewKeyGeneratedWebhookRequestWithBody),
	"key.requested": of(func(e pin.AuditEvent) events.KeyRequested {
		return events.KeyRequested{ID: e.ID, Type: "key.requested", Timestamp: e.At, Data: key(e)}
	}, events.NewKeyRequestedWebhookRequestWithBody),
	"key.activated": of(func(e pin.AuditEvent) events.KeyActivated {
		return events.KeyActivated{ID: e.ID, Type: "key.activated", Timestamp: e.At, Data: key(e)}
	}, events.NewKeyActivatedWebhookRequestWithBody),
	"key.retired": of(func(e pin.AuditEvent) events.KeyRetired {
		return events.KeyRetired{ID: e.ID, Type: "key.retired", Timestamp: e.At, Data: key(e)}
	}, events.NewKeyRetiredWebhookRequestWithBody),
	"key.destroyed": of(func(e pin.AuditEvent) events.KeyDestroyed {
		return events.KeyDestroyed{ID: e.ID, Type: "key.destroyed", Timestamp: e.At, Data: key(e)}
	}, events.NewKeyDestroyedWebhookRequestWithBody),
	"key.exported": of(func(e pin.AuditEvent) events.KeyExported {
		return events.KeyExported{ID: e.ID, Type: "key.exported", Timestamp: e.At, Data: key(e)}
	}, events.NewKeyExportedWebhookRequestWithBody),
	"client.created": of(func(e pin.AuditEvent) events.ClientCreated {
		return events.ClientCreated{ID: e.ID, Type: "client.created", Timestamp: e.At, Data: client(e)}
	}, events.NewClientCreatedWebhookRequestWithBody),
	"client.updated": of(func(e pin.AuditEvent) events.ClientUpdated {
		return events.ClientUpdated{ID: e.ID, Type: "client.updated", Timestamp: e.At, Data: client(e)}
	}, events.NewClientUpdatedWebhookRequestWithBody),
	"client.rotated": of(func(e pin.AuditEvent) events.ClientRotated {
		return events.ClientRotated{ID: e.ID, Type: "client.rotated", Timestamp: e.At, Data: client(e)}
	}, events.NewClientRotatedWebhookRequestWithBody),
	"client.revoked": of(func(e pin.AuditEvent) events.ClientRevoked {
		return events.ClientRevoked{ID: e.ID, Type: "client.revoked", Timestamp: e.At, Data: client(e)}
	}, events.NewClientRevokedWebhookRequestWithBody),
	"client.halted": of(func(e pin.AuditEvent) events.ClientHalted {
		return events.ClientHalted{ID: e.ID, Type: "client.halted", Timestamp: e.At, Data: client(e)}
	}, events.NewClientHaltedWebhookRequestWithBody),
	"client.released": of(func(e pin.AuditEvent) events.ClientReleased {
		return events.ClientReleased{ID: e.ID, Type: "client.released", Timestamp: e.At, Data: client(e)}
	}, events.NewClientReleasedWebhookRequestWithBody),
	"webhook.paused": of(func(e pin.AuditEvent) events.WebhookPaused {
		w := webhook(e)
		return events.WebhookPaused{ID: e.ID, Type: "webhook.paused", Timestamp: e.At, Data: events.PausedData{Actor: w.Actor, ProgramID: w.ProgramID, Sequence: w.Sequence,
			TraceID: w.TraceID, WebhookID: w.WebhookID, Reason: events.PausedDataReason(e.Outcome)}}
	}, events.NewWebhookPausedWebhookRequestWithBody),
	"webhook.test": of(func(e pin.AuditEvent) events.WebhookTest {
		return events.WebhookTest{ID: e.ID, Type: "webhook.test", Timestamp: e.At, Data: webhook(e)}
	}, events.NewWebhookTestWebhookRequestWithBody),
}

// Message is an event as webhooks are told of it, nil of one that they are not told of.
func Message(e pin.AuditEvent) (json.RawMessage, error) {
	k, ok := kinds[e.Announced()]
	if !ok {
		return nil, nil
	}
	return json.Marshal(k.message(e))
}

func actor(e pin.AuditEvent) events.Actor {
	return events.Actor{Contract: text(e.Contract), ClientID: text(e.ClientID)}
}

func card(e pin.AuditEvent) events.CardData {
	return events.CardData{Actor: actor(e), CardID: e.CardID, ProgramID: e.ProgramID, Sequence: e.Seq, TraceID: text(e.TraceID)}
}

func failed(e pin.AuditEvent) events.FailedData {
	c, left := card(e), int32(0)
	if e.Left != nil {
		left = int32(*e.Left) //nolint:gosec // 0..15
	}
	return events.FailedData{Actor: c.Actor, CardID: c.CardID, ProgramID: c.ProgramID, Sequence: c.Sequence, TraceID: c.TraceID,
		Outcome: events.FailedDataOutcome(e.Outcome), RemainingTries: left}
}

func status(e pin.AuditEvent) events.StatusData {
	c := card(e)
	s := events.StatusData{Actor: c.Actor, CardID: c.CardID, ProgramID: c.ProgramID, Sequence: c.Sequence, TraceID: c.TraceID}
	for _, change := range e.Changes {
		switch change.Field {
		case "status":
			s.Status, s.PreviousStatus = text(change.New), text(change.Old)
		case "upgradeStatus":
			s.UpgradeStatus = text(change.New)
		}
	}
	return s
}

func key(e pin.AuditEvent) events.KeyData {
	return events.KeyData{Actor: actor(e), ProgramID: text(e.ProgramID), Sequence: e.Seq, TraceID: text(e.TraceID), KeyID: e.Subject}
}

func session(e pin.AuditEvent) events.SessionData {
	c := card(e)
	return events.SessionData{Actor: c.Actor, CardID: c.CardID, ProgramID: c.ProgramID, Sequence: c.Sequence, TraceID: c.TraceID, SessionID: e.Subject}
}

func approval(e pin.AuditEvent) events.ApprovalData {
	c := card(e)
	a := events.ApprovalData{Actor: c.Actor, CardID: c.CardID, ProgramID: c.ProgramID, Sequence: c.Sequence, TraceID: c.TraceID, ApprovalID: e.Subject}
	for _, change := range e.Changes {
		switch change.Field {
		case "action":
			a.Action = change.New
		case "clientId":
			a.ClientID = change.New
		}
	}
	return a
}

func client(e pin.AuditEvent) events.ClientData {
	return events.ClientData{Actor: actor(e), ProgramID: text(e.ProgramID), Sequence: e.Seq, TraceID: text(e.TraceID), ClientID: e.Subject}
}

func webhook(e pin.AuditEvent) events.WebhookData {
	return events.WebhookData{Actor: actor(e), ProgramID: text(e.ProgramID), Sequence: e.Seq, TraceID: text(e.TraceID), WebhookID: e.Subject}
}

// text leaves an empty text out.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
