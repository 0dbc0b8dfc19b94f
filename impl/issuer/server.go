// Package issuer is the issuer's own control plane over the vault: programs, partners' clients, cards,
// PIN verification, partners' keys and the audit trail.
//
// Its rules are those of openapi/issuer.yaml. A request that gets here keeps them already; a handler
// makes one vault call of it and renders what comes back. [API.Render] renders every error, by the one table
// from the vault's codes to the document's problems (RFC 9457).
//
// It knows the vault, and neither the database nor another contract.
package issuer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gin-gonic/gin"

	api "pinvault/generated/issuer"
	"pinvault/impl/contract"
	"pinvault/impl/idempotency"
	"pinvault/impl/pin"
)

// Vault is what the handlers ask of [pin.Vault].
type Vault interface {
	CreateProgram(ctx context.Context, p pin.Program, m pin.Memo) (pin.Program, error)
	UpdateProgram(ctx context.Context, id string, patch func(*pin.Program) error, m pin.Memo) (pin.Program, error)
	Program(ctx context.Context, id string) (pin.Program, error)
	Programs(ctx context.Context, page pin.Page) ([]pin.Program, error)

	CreateClient(ctx context.Context, c pin.Client, secret string, m pin.Memo) (pin.Client, string, error)
	RotateClient(ctx context.Context, id string, overlap time.Duration, m pin.Memo) (pin.Client, string, error)
	RevokeClient(ctx context.Context, id string, m pin.Memo) error
	LimitClient(ctx context.Context, id string, limits pin.Limits, m pin.Memo) (pin.Client, error)
	ReleaseClient(ctx context.Context, id string, m pin.Memo) (pin.Client, error)
	Client(ctx context.Context, id string) (pin.Client, error)
	Clients(ctx context.Context, page pin.Page) ([]pin.Client, error)
	KeepSetting(c *pin.Client, name, value string) error

	CreateCard(ctx context.Context, n pin.NewCard, m pin.Memo) (pin.Card, error)
	UpdateCard(ctx context.Context, q pin.Query, patch func(*pin.Card) error, m pin.Memo) (pin.Card, error)
	Card(ctx context.Context, q pin.Query) (pin.Record, error)
	ClientsReaching(ctx context.Context, programID string) ([]pin.Client, error)
	Find(ctx context.Context, q pin.Query, limit int) ([]pin.Record, error)
	MaskedPAN(c pin.Card) (string, error)

	SetPIN(ctx context.Context, q pin.Query, o pin.Offer, m pin.Memo) error
	Verify(ctx context.Context, q pin.Query, o pin.Offer, m pin.Memo) (pin.Verification, error)
	Unblock(ctx context.Context, q pin.Query, m pin.Memo) error

	RequestApproval(ctx context.Context, q pin.Query, n pin.NewApproval, m pin.Memo) (pin.Approval, error)
	DecideApproval(ctx context.Context, id string, grant bool, m pin.Memo) (pin.Approval, error)
	CancelApproval(ctx context.Context, id string, m pin.Memo) (pin.Approval, error)
	Approval(ctx context.Context, id string) (pin.Approval, error)
	Approvals(ctx context.Context, state pin.ApprovalState, page pin.Page) ([]pin.Approval, error)

	AuditEvents(ctx context.Context, q pin.AuditQuery) ([]pin.AuditEvent, error)

	CreateWebhook(ctx context.Context, w pin.Webhook, m pin.Memo) (pin.Webhook, string, error)
	UpdateWebhook(ctx context.Context, id string, patch func(*pin.Webhook) error, m pin.Memo) (pin.Webhook, error)
	RotateWebhook(ctx context.Context, id string, overlap time.Duration, m pin.Memo) (pin.Webhook, string, error)
	DeleteWebhook(ctx context.Context, id string, m pin.Memo) error
	TestWebhook(ctx context.Context, id string, m pin.Memo) error
	NoteReplay(ctx context.Context, id string, result any, m pin.Memo) error
	Webhook(ctx context.Context, id string) (pin.Webhook, error)
	Webhooks(ctx context.Context, page pin.Page) ([]pin.Webhook, error)
}

// API answers the operations of openapi/issuer.yaml. It is safe for concurrent use.
type API struct {
	vault     Vault
	keys      Keys
	services  PINServices
	contracts Contracts
	guard     *idempotency.Guard
	own       VaultKeys
}

var _ api.StrictServerInterface = (*API)(nil)

// New makes the API over a vault, the custody of its partners' keys and its PIN services. guard recognizes repeated requests.
func New(v Vault, keys Keys, services PINServices, contracts Contracts, guard *idempotency.Guard) *API {
	return &API{vault: v, keys: keys, services: services, contracts: contracts, guard: guard}
}

// Mount adds the document's paths to r. What comes before them must hold the request against the
// document ([contract.Document.Middleware]) and hand down the caller ([pin.WithCaller]) whom it has
// authorized. Errors go to fail.
func (a *API) Mount(r gin.IRouter, fail func(*gin.Context, error)) {
	api.Mount(r.Group("/", identified(fail)), a, fail)
}

// identified keeps requests without a caller from the handlers: to the vault, the zero Caller is one
// who reaches every program.
func identified(fail func(*gin.Context, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		if pin.CallerFrom(c.Request.Context()).ClientID == "" {
			c.Abort()
			fail(c, &pin.Error{Code: pin.Internal, Err: errors.New("issuer: no caller in the request's context")})
		}
	}
}

// keptFor is how long the answer to a request with an idempotency key can be had again, and
// verificationsKeptFor how long that of a verification, which a card that is blocked or stolen since would
// belie.
const (
	keptFor              = 24 * time.Hour
	verificationsKeptFor = time.Minute
)

// call is a request as an idempotency record tells it from others.
type call struct {
	key      *string
	endpoint string        // operationId, and the path's parameters
	body     any           // as it was bound
	ttl      time.Duration // 0: keptFor
}

// once has the effect of a call, unless its idempotency key is that of an earlier one: then that one's
// result comes back, and the reply says so.
func once[T any](ctx context.Context, a *API, of call, m pin.Memo, effect func(pin.Memo) (T, error)) (result T, err error) {
	if of.key == nil {
		return effect(m)
	}
	content, err := json.Marshal(of.body)
	if err != nil {
		return result, err
	}
	defer clear(content)
	request := idempotency.Request{Scope: pin.CallerFrom(ctx).ClientID, Key: *of.key, Endpoint: of.endpoint, Content: content, TTL: cmp.Or(of.ttl, keptFor)}
	result, replayed, err := idempotency.Once(ctx, a.guard, request, m, effect)
	if replayed {
		contract.ReplyHeader(ctx).Set("Idempotent-Replayed", "true")
	}
	return result, err
}
