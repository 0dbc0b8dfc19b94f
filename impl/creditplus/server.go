// Package creditplus answers Credit+ Issuing's Reset PIN Retry Counter, V2 and V1, over the vault.
//
// It fills the interface generated from openapi/creditplus.yaml, which holds every rule about a field
// and the labels that errors print. The two versions have error tables of their own (errors.go), and
// [API.Render] renders every error.
//
// A V2 request may come encrypted (RFC 7516). What is inside is held against the same schema as a clear
// one; the keys stay in the keyring.
package creditplus

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/nullable"
	"github.com/oapi-codegen/runtime"

	"pinvault/generated/creditplus"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// Name is the contract's name: that of its document and of its clients.
const Name = "creditplus"

// serviceCode is that of PIN retry counter resets in Credit+.
const serviceCode = "109"

// messageSchema describes what an encrypted request holds.
const messageSchema = "ResetRequest"

// Vault is what this contract needs of [pin.Vault].
type Vault interface {
	Program(ctx context.Context, id string) (pin.Program, error)
	ServeUnblock(ctx context.Context, q pin.Query, r pin.ServiceRequest) (pin.ServiceRequest, error)
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
	now      func() time.Time
}

// New makes the API. now defaults to the clock.
func New(vault Vault, messages Messages, document *contract.Document, now func() time.Time) *API {
	if now == nil {
		now = time.Now
	}
	return &API{vault: vault, messages: messages, document: document, now: now}
}

// Mount registers the operations. Errors go to fail.
func (a *API) Mount(r gin.IRouter, fail func(*gin.Context, error)) { creditplus.Mount(r, a, fail) }

// ResetPinRetryCounterV2 puts the counter of the one card that all selectors describe back.
func (a *API) ResetPinRetryCounterV2(ctx context.Context, r creditplus.ResetPinRetryCounterV2RequestObject) (creditplus.ResetPinRetryCounterV2ResponseObject, error) {
	m, err := a.message(ctx, r)
	if err == nil {
		err = a.admit(ctx, m)
	}
	if err != nil {
		return nil, err
	}
	done, err := a.vault.ServeUnblock(ctx, query(m), pin.ServiceRequest{
		Version: "v2", ServiceCode: serviceCode, Notes: text(m.Notes), Source: text(m.Source),
	})
	if err != nil {
		return nil, err
	}
	return creditplus.ResetPinRetryCounterV2200JSONResponse{
		Code: creditplus.DoneCodeOK, Description: "The server has successfully processed your request.", ServiceRequestNumber: done.Number,
	}, nil
}

// message is the request, taken out of its envelope where it has one.
func (a *API) message(ctx context.Context, r creditplus.ResetPinRetryCounterV2RequestObject) (*creditplus.ResetRequest, error) {
	who := pin.CallerFrom(ctx)
	if r.JSONBody != nil {
		return r.JSONBody, clearAllowed(who)
	}
	compact, _ := contract.Sent(contract.Request(ctx))
	plain, err := a.messages.OpenMessage(ctx, who.ProgramID, who.Settings.MessageKeyIDs, compact)
	if err != nil {
		return nil, err
	}
	value, violations := a.document.CheckMessage(messageSchema, plain)
	if len(violations) > 0 {
		return nil, first(v2Order, violations, value)
	}
	var m creditplus.ResetRequest
	if runtime.BindJSONValue(value, &m) != nil { // whose text may quote the message
		return nil, first(v2Order, contract.Unbound, value)
	}
	return &m, nil
}

// clearAllowed is Unopenable for a client whose requests must be encrypted.
func clearAllowed(who pin.Caller) error {
	if who.Settings.EncryptionRequired {
		return &pin.Error{Code: pin.Unopenable}
	}
	return nil
}

// admit checks what no schema can: that the request is still good, and that it may name an alias.
func (a *API) admit(ctx context.Context, m *creditplus.ResetRequest) error {
	until, err := time.Parse(time.RFC3339, m.DataValidUntilTimestamp)
	if err != nil {
		return err
	}
	if until.Before(a.now()) {
		return late(m.DataValidUntilTimestamp)
	}
	if text(m.Alias) == "" {
		return nil
	}
	program, err := a.vault.Program(ctx, pin.CallerFrom(ctx).ProgramID)
	if err == nil && !program.AliasCapability {
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
		{Kind: pin.KindNumber, Value: text(m.Number)},
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
	read := false
	done, err := a.vault.ServeUnblock(ctx, pin.Query{
		References: []pin.Reference{{Kind: pin.KindNumber, Value: r.Body.DeviceNumber}},
		Check: func(rec pin.Record) error {
			read = true
			return device(rec.Card, r.Body.InstitutionCode)
		},
	}, pin.ServiceRequest{Version: "v1", ServiceCode: serviceCode, Notes: text(r.Body.Notes)})
	if err != nil {
		if !read {
			err = fault(deviceUnread, err)
		}
		return nil, err
	}
	return creditplus.ResetPinRetryCounterV1201JSONResponse{
		Code: creditplus.DoneV1CodeCCRBO0004, Reason: "Request processed successfully",
		ServiceRequest: creditplus.ServiceRequest{
			Number: done.Number, ServiceCode: creditplus.ServiceRequestServiceCodeN109, DeviceNumber: r.Body.DeviceNumber, LoggedAt: done.LoggedAt,
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
