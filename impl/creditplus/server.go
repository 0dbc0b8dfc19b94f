// Package creditplus answers Credit+ Issuing's Reset PIN Retry Counter, V2 and V1, over the vault.
//
// It fills the interface generated from openapi/creditplus.yaml, which holds every rule about a field
// and the labels that errors print. The two versions have error tables of their own (errors.go), and
// [API.Render] renders every error.
//
// A V2 request may come encrypted (RFC 7516). What is inside is held against the same schema as a clear
// one; the keys stay in the keyring. An encrypted request has its effect once.
package creditplus

import (
	"bytes"
	"context"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/nullable"
	"github.com/oapi-codegen/runtime"

	"pinvault/generated/creditplus"
	"pinvault/impl/contract"
	"pinvault/impl/idempotency"
	"pinvault/impl/pin"
)

// Name is the contract's name: that of its document and of its clients.
const Name = "creditplus"

// messageSchema describes what an encrypted request holds.
const messageSchema = "ResetRequest"

// Vault is what this contract needs of [pin.Vault].
type Vault interface {
	Program(ctx context.Context, id string) (pin.Program, error)
	Unblock(ctx context.Context, q pin.Query, m pin.Memo) error
	Promise(ctx context.Context, sequence string) (draw func() int64, release func(), err error)
}

// Messages opens encrypted requests. The keyring's Ring does: Unopenable for whatever is wrong with
// the message.
type Messages interface {
	OpenMessage(ctx context.Context, programID string, keyIDs []string, compact []byte) ([]byte, error)
}

// API answers the contract.
type API struct {
	vault    Vault
	messages Messages
	document *contract.Document
	once     *idempotency.Guard
	now      func() time.Time
}

// New makes the API. now defaults to the clock.
func New(vault Vault, messages Messages, document *contract.Document, once *idempotency.Guard, now func() time.Time) *API {
	if now == nil {
		now = time.Now
	}
	return &API{vault: vault, messages: messages, document: document, once: once, now: now}
}

// Mount registers the operations. Errors go to fail.
func (a *API) Mount(r gin.IRouter, fail func(*gin.Context, error)) { creditplus.Mount(r, a, fail) }

// ResetPinRetryCounterV2 puts the counter of the one card that all selectors describe back. What was sealed
// does so once: until it is over, a repetition is answered as the first one was.
func (a *API) ResetPinRetryCounterV2(ctx context.Context, r creditplus.ResetPinRetryCounterV2RequestObject) (creditplus.ResetPinRetryCounterV2ResponseObject, error) {
	m, sealed, err := a.message(ctx, r)
	if err != nil {
		return nil, err
	}
	t, err := timesOf(m)
	if err == nil {
		err = t.over(a.now())
	}
	if err != nil {
		return nil, err
	}
	done, _, err := idempotency.Once(ctx, a.once, idempotency.Request{
		Scope: pin.CallerFrom(ctx).ClientID, Key: sealed, Endpoint: "resetPinRetryCounterV2", TTL: t.left(a.now()), OnCard: true,
	}, pin.Memo{}, func(memo pin.Memo) (serviceRequest, error) { return a.resetV2(ctx, m, t, memo) })
	if err != nil {
		return nil, err
	}
	return creditplus.ResetPinRetryCounterV2200JSONResponse{
		Code: creditplus.DoneCodeOK, Description: "The server has successfully processed your request.", ServiceRequestNumber: done.Number,
	}, nil
}

// resetV2 is what a request does that has not been seen before.
func (a *API) resetV2(ctx context.Context, m *creditplus.ResetRequest, t times, memo pin.Memo) (serviceRequest, error) {
	if err := a.admit(ctx, m, t); err != nil {
		return serviceRequest{}, err
	}
	return a.reset(ctx, query(m), func(pin.Card) error { return nil }, serviceRequest{Version: "v2", Notes: text(m.Notes), Source: text(m.Source)}, memo)
}

// message is the request, taken out of its envelope where it has one: sealed is that, without what stands
// around it, or "".
func (a *API) message(ctx context.Context, r creditplus.ResetPinRetryCounterV2RequestObject) (m *creditplus.ResetRequest, sealed string, err error) {
	who := pin.CallerFrom(ctx)
	if r.JSONBody != nil {
		return r.JSONBody, "", clearAllowed(who)
	}
	own, err := ofClients.Read(who.Settings)
	if err != nil {
		return nil, "", err
	}
	body, _ := contract.Sent(contract.Request(ctx))
	compact := bytes.TrimSpace(body)
	plain, err := a.messages.OpenMessage(ctx, who.ProgramID, own.MessageKeyIDs, compact)
	if err != nil {
		return nil, "", err
	}
	contract.Opened(ctx, plain)
	value, violations := a.document.CheckMessage(messageSchema, plain)
	if len(violations) > 0 {
		return nil, "", first(v2Order, violations, value)
	}
	m = &creditplus.ResetRequest{}
	if runtime.BindJSONValue(value, m) != nil { // whose text may quote the message
		return nil, "", first(v2Order, contract.Unbound, value)
	}
	return m, string(compact), nil
}

// clearAllowed is Unopenable for a client whose requests must be encrypted.
func clearAllowed(who pin.Caller) error {
	own, err := ofClients.Read(who.Settings)
	if err == nil && own.EncryptionRequired {
		err = &pin.Error{Code: pin.Unopenable}
	}
	return err
}

// admit checks what no schema can: that the request was made now, and that it may name an alias.
func (a *API) admit(ctx context.Context, m *creditplus.ResetRequest, t times) error {
	client, err := ofClients.Read(pin.CallerFrom(ctx).Settings)
	if err == nil {
		err = t.untimely(a.now(), time.Duration(client.TimestampWindowSeconds)*time.Second)
	}
	if err != nil || text(m.Alias) == "" {
		return err
	}
	program, err := a.vault.Program(ctx, pin.CallerFrom(ctx).ProgramID)
	if err != nil {
		return err
	}
	own, err := ofPrograms.Read(program.Settings[Name])
	if err == nil && !own.AliasCapability {
		err = aliasOff
	}
	return err
}

// query seeks by all selectors at once.
func query(m *creditplus.ResetRequest) pin.Query {
	q := pin.Query{ProgramCode: text(m.ProgramCode), DevicePlanCode: text(m.DevicePlanCode)}
	for _, r := range []pin.Reference{
		{Kind: pin.KindIdentifier, Value: text(m.Identifier)},
		{Kind: pin.KindPackID, Value: text(m.PackID)},
		{Kind: pin.KindAlias, Value: text(m.Alias)},
		{Kind: pin.KindDevice, Value: text(m.Number)},
	} {
		if r.Value != "" {
			q.References = append(q.References, r)
		}
	}
	return q
}

// text is "" for a field that is null or was not sent.
func text[S ~string](field nullable.Nullable[S]) string {
	value, _ := field.Get()
	return string(value)
}

// requestDate is V1's MM/dd/yyyy HH:mm:ss.
const requestDate = "01/02/2006 15:04:05"

// ResetPinRetryCounterV1 puts the counter of a device back. Its errors tell the device, the device plan
// and the counter's writing apart.
func (a *API) ResetPinRetryCounterV1(ctx context.Context, r creditplus.ResetPinRetryCounterV1RequestObject) (creditplus.ResetPinRetryCounterV1ResponseObject, error) {
	if err := clearAllowed(pin.CallerFrom(ctx)); err != nil {
		return nil, err
	}
	if err := a.timely(ctx, r.Body.RequestDate); err != nil {
		return nil, err
	}
	read, shown := false, r.Body.DeviceNumber
	done, err := a.reset(ctx, pin.Query{References: []pin.Reference{{Kind: pin.KindDevice, Value: r.Body.DeviceNumber}}}, func(c pin.Card) error {
		if read = true; c.Reference(pin.KindNumber) != shown {
			shown = pin.MaskPAN(r.Body.DeviceNumber)
		}
		return device(c, r.Body.InstitutionCode)
	}, serviceRequest{Version: "v1", Notes: text(r.Body.Notes)}, pin.Memo{})
	if err != nil {
		if !read {
			err = fault(deviceUnread, err)
		}
		return nil, err
	}
	return creditplus.ResetPinRetryCounterV1201JSONResponse{
		Code: creditplus.DoneV1CodeCCRBO0004, Reason: "Request processed successfully",
		ServiceRequest: creditplus.ServiceRequest{
			Number: done.Number, ServiceCode: creditplus.ServiceRequestServiceCodeN109, DeviceNumber: shown, LoggedAt: done.LoggedAt,
		},
	}, nil
}

// timely refuses a request date that is none, or later than the institution's, whose time zone is the
// program's.
func (a *API) timely(ctx context.Context, date string) error {
	if _, err := time.Parse(requestDate, date); err != nil {
		return dateMalformed
	}
	program, err := a.vault.Program(ctx, pin.CallerFrom(ctx).ProgramID)
	if err != nil {
		return fault(planUnread, err)
	}
	zone, err := time.LoadLocation(program.TimeZone)
	if err != nil {
		return fault(planUnread, err)
	}
	if sent, _ := time.ParseInLocation(requestDate, date, zone); sent.After(a.now()) {
		return dateLater
	}
	return nil
}

// device refuses a card that V1 knows as no device of the institution.
func device(c pin.Card, institution string) error {
	switch {
	case c.InstitutionCode != institution:
		return otherInstitution
	case c.DevicePlanCode == "":
		return planMissing
	}
	return nil
}
