package issuer

import (
	"context"
	"encoding/json"
	"time"

	api "pinvault/generated/issuer"
	"pinvault/impl/pin"
)

// Outbox is what the handlers ask of what sends events to webhooks.
type Outbox struct {
	Feed
	PublicKey func(k pin.WebhookKeys) string // as a receiver is shown it
	Admits    func(url string) bool          // whether a webhook may be there
}

// Feed is impl/outbox's Feed.
type Feed interface {
	Events(ctx context.Context, cardID string, page pin.Page, wait time.Duration) (messages []json.RawMessage, next string, err error)
	Deliveries(ctx context.Context, webhookID string, state pin.DeliveryState, before string, limit int) ([]pin.Delivery, error)
	Replay(ctx context.Context, webhookID, after string, from time.Time) (n int, next string, err error)
}

// freshWebhook is a webhook with the secret that only the first answer shows: an idempotency record does not keep it.
type freshWebhook struct {
	pin.Webhook
	Secret string `json:"-"`
}

// CreateWebhook registers a webhook and shows its secret, this once. Without a program it is the caller's own program's.
func (a *API) CreateWebhook(ctx context.Context, r api.CreateWebhookRequestObject) (api.CreateWebhookResponseObject, error) {
	made, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "createWebhook", body: r.Body}, pin.Memo{},
		func(m pin.Memo) (freshWebhook, error) {
			n := pin.Webhook{ProgramID: pin.CallerFrom(ctx).ProgramID, State: pin.WebhookActive}
			set(&n.ProgramID, r.Body.ProgramID)
			if err := a.setWebhook(&n, api.WebhookChange{URL: &r.Body.URL, Types: r.Body.Types, Description: r.Body.Description}); err != nil {
				return freshWebhook{}, err
			}
			w, secret, err := a.vault.CreateWebhook(ctx, n, m)
			return freshWebhook{w, secret}, err
		})
	return api.CreateWebhook201JSONResponse{Body: a.webhookWithSecret(made), Headers: api.CreateWebhook201ResponseHeaders{CacheControl: noStore}}, err
}

// ListWebhooks pages through the webhooks in the caller's reach.
func (a *API) ListWebhooks(ctx context.Context, r api.ListWebhooksRequestObject) (api.ListWebhooksResponseObject, error) {
	p := page(r.Params.Limit, r.Params.Cursor)
	found, err := a.vault.Webhooks(ctx, p)
	if err != nil {
		return nil, err
	}
	found, next := cut(p, found, func(w pin.Webhook) string { return w.ID })
	return api.ListWebhooks200JSONResponse{Items: each(found, a.webhook), NextCursor: next}, nil
}

// GetWebhook shows a webhook.
func (a *API) GetWebhook(ctx context.Context, r api.GetWebhookRequestObject) (api.GetWebhookResponseObject, error) {
	found, err := a.vault.Webhook(ctx, r.WebhookID)
	return api.GetWebhook200JSONResponse(a.webhook(found)), err
}

// UpdateWebhook changes, pauses or resumes a webhook.
func (a *API) UpdateWebhook(ctx context.Context, r api.UpdateWebhookRequestObject) (api.UpdateWebhookResponseObject, error) {
	changed, err := a.vault.UpdateWebhook(ctx, r.WebhookID, func(w *pin.Webhook) error { return a.setWebhook(w, *r.Body) }, pin.Memo{})
	return api.UpdateWebhook200JSONResponse(a.webhook(changed)), err
}

// DeleteWebhook ends a webhook.
func (a *API) DeleteWebhook(ctx context.Context, r api.DeleteWebhookRequestObject) (api.DeleteWebhookResponseObject, error) {
	return api.DeleteWebhook204Response{}, a.vault.DeleteWebhook(ctx, r.WebhookID, pin.Memo{})
}

// RotateWebhook gives a webhook another secret and shows it, this once.
func (a *API) RotateWebhook(ctx context.Context, r api.RotateWebhookRequestObject) (api.RotateWebhookResponseObject, error) {
	var seconds int
	setNumber(&seconds, r.Body.OverlapSeconds)
	rotated, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "rotateWebhook " + r.WebhookID, body: r.Body}, pin.Memo{},
		func(m pin.Memo) (freshWebhook, error) {
			w, secret, err := a.vault.RotateWebhook(ctx, r.WebhookID, time.Duration(seconds)*time.Second, m)
			return freshWebhook{w, secret}, err
		})
	return api.RotateWebhook200JSONResponse{Body: a.webhookWithSecret(rotated), Headers: api.RotateWebhook200ResponseHeaders{CacheControl: noStore}}, err
}

// TestWebhook sends a webhook a test.
func (a *API) TestWebhook(ctx context.Context, r api.TestWebhookRequestObject) (api.TestWebhookResponseObject, error) {
	_, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "testWebhook " + r.WebhookID}, pin.Memo{},
		func(m pin.Memo) (struct{}, error) { return struct{}{}, a.vault.TestWebhook(ctx, r.WebhookID, m) })
	return api.TestWebhook204Response{}, err
}

// ListDeliveries pages through what a webhook was sent.
func (a *API) ListDeliveries(ctx context.Context, r api.ListDeliveriesRequestObject) (api.ListDeliveriesResponseObject, error) {
	p := page(r.Params.Limit, r.Params.Cursor)
	var state pin.DeliveryState
	setText(&state, r.Params.State)
	found, err := a.contracts.Outbox.Deliveries(ctx, r.WebhookID, state, p.After, p.Limit)
	if err != nil {
		return nil, err
	}
	found, next := cut(p, found, func(d pin.Delivery) string { return d.EventID })
	return api.ListDeliveries200JSONResponse{Items: each(found, delivery), NextCursor: next}, nil
}

// ReplayWebhook sends a webhook events once more.
func (a *API) ReplayWebhook(ctx context.Context, r api.ReplayWebhookRequestObject) (api.ReplayWebhookResponseObject, error) {
	var after string
	var from time.Time
	set(&after, r.Body.After)
	set(&from, r.Body.From)
	queued, err := once(ctx, a, call{key: r.Params.IdempotencyKey, endpoint: "replayWebhook " + r.WebhookID, body: r.Body}, pin.Memo{},
		func(m pin.Memo) (api.Replayed, error) {
			n, next, err := a.contracts.Outbox.Replay(ctx, r.WebhookID, after, from)
			queued := api.Replayed{Queued: int32(n), Next: text(next)} //nolint:gosec // see outbox
			if err == nil {
				err = a.vault.NoteReplay(ctx, r.WebhookID, queued, m)
			}
			return queued, err
		})
	return api.ReplayWebhook200JSONResponse{Body: queued}, err
}

// ListEvents hands out events, and may wait for one.
func (a *API) ListEvents(ctx context.Context, r api.ListEventsRequestObject) (api.ListEventsResponseObject, error) {
	p := pin.Page{Limit: pageSize}
	var seconds int
	var card string
	setNumber(&p.Limit, r.Params.Limit)
	set(&p.After, r.Params.Cursor)
	setNumber(&seconds, r.Params.WaitSeconds)
	set(&card, r.Params.CardID)
	found, next, err := a.contracts.Outbox.Events(ctx, card, p, time.Duration(seconds)*time.Second)
	return api.ListEvents200JSONResponse{Items: append([]api.Event{}, found...), NextCursor: text(next)}, err
}

// setWebhook puts what a request names into a webhook: InvalidField for a URL at which nothing is sent.
func (a *API) setWebhook(w *pin.Webhook, named api.WebhookChange) error {
	if named.URL != nil && !a.contracts.Outbox.Admits(*named.URL) {
		return &pin.Error{Code: pin.InvalidField, Field: "url"}
	}
	set(&w.URL, named.URL)
	set(&w.Description, named.Description)
	if named.Types != nil {
		w.Types = each(*named.Types, func(t api.WebhookType) string { return string(t) })
	}
	if named.State != nil && pin.WebhookState(*named.State) != w.State {
		w.State, w.PausedFor = pin.WebhookState(*named.State), pin.PausedAsked
	}
	return nil
}

// webhook is a webhook as the document shows it.
func (a *API) webhook(w pin.Webhook) api.Webhook {
	shown := api.Webhook{WebhookID: w.ID, ProgramID: text(w.ProgramID), URL: w.URL, Types: list(w.Types), Description: text(w.Description), State: api.WebhookState(w.State),
		PausedFor: (*api.WebhookPausedFor)(text(string(w.PausedFor))), CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt}
	if len(w.Keys) > 0 {
		shown.PublicKey = a.contracts.Outbox.PublicKey(w.Keys[0])
	}
	return shown
}

// webhookWithSecret is webhook with the secret, where there is one.
func (a *API) webhookWithSecret(f freshWebhook) api.WebhookWithSecret {
	w := a.webhook(f.Webhook)
	return api.WebhookWithSecret{WebhookID: w.WebhookID, ProgramID: w.ProgramID, URL: w.URL, Types: w.Types, Description: w.Description, State: api.WebhookWithSecretState(w.State),
		PausedFor: (*api.WebhookWithSecretPausedFor)(w.PausedFor), PublicKey: w.PublicKey, CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt, Secret: text(f.Secret)}
}

// delivery is a delivery as the document shows it.
func delivery(d pin.Delivery) api.Delivery {
	shown := api.Delivery{EventID: d.EventID, Chain: d.Chain, Sequence: d.Seq, State: api.DeliveryState(d.State), Attempts: d.Attempts,
		Failure: (*api.DeliveryFailure)(text(d.Failure)), CreatedAt: *instant(d.CreatedAt), FirstAttemptAt: instant(d.FirstAt), EndedAt: instant(d.DoneAt)}
	if d.Status > 0 {
		status := int32(d.Status) //nolint:gosec // HTTP's
		shown.Status = &status
	}
	if d.State == pin.DeliveryPending {
		shown.NextAttemptAt = instant(d.DueAt)
	}
	return shown
}

// instant is a time of so many microseconds since 1970, nil for none.
func instant(micros int64) *time.Time {
	if micros == 0 {
		return nil
	}
	t := time.UnixMicro(micros).UTC()
	return &t
}
