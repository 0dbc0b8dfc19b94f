// Package scenario walks through the scenario of scripts/sdk/README.md with generated clients.
package scenario

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"sdk/clients/accosa"
	"sdk/clients/common"
	"sdk/clients/creditplus"
	"sdk/clients/issuer"
	"sdk/clients/networkintl"
	"sdk/clients/thredd"
	"sdk/transport"
)

const (
	pan        = "9999990000001004"
	expiry     = "3112"
	sequence   = "01"
	token      = "103170001"
	urn        = "70000001001"
	identifier = "DEVICE0000001001"
	wrong      = "9182"
	sealing    = "creditplus_encrypted_only" // the client of Credit+ that may not send in clear
)

type walk struct {
	t   *testing.T
	url string
	fix *common.Fixtures

	issuer     *issuer.ClientWithResponses
	thredd     *thredd.ClientWithResponses
	creditplus *creditplus.ClientWithResponses
	network    *networkintl.ClientWithResponses
	accosa     *accosa.ClientWithResponses

	card issuer.CardID
}

func TestScenario(t *testing.T) {
	w := &walk{t: t, url: os.Getenv("PINVAULT_URL")}
	w.step("fixtures", w.fixtures)
	w.step("tokens", w.clients)
	w.step("a new card", w.createCard)
	w.step("set by Thredd", func(t *testing.T) {
		r, err := w.thredd.SetCardPinWithResponse(t.Context(), token, nil, thredd.SetPinRequest{Pin: "4826"})
		status(t, err, r, http.StatusNoContent)
	})
	w.step("read by Thredd", w.reads("4826"))
	for left := range int32(3) {
		w.step("a wrong PIN", w.verifies(wrong, "ISO-0", "zpk", issuer.VerificationResultMismatch, 2-left))
	}
	w.step("the right PIN of a blocked card", w.verifies("4826", "ISO-0", "zpk", issuer.VerificationResultBlocked, 0))
	w.step("blocked", w.counts(thredd.PinStatusStatusBlocked, "0"))
	w.step("reset through Credit+", w.resetTries)
	w.step("unblocked", w.counts(thredd.PinStatusStatusUnblocked, "3"))
	w.step("change through Network International", w.change)
	w.step("read after the change", w.reads("7351"))
	w.step("a wrong PIN again", w.verifies(wrong, "ISO-0", "zpk", issuer.VerificationResultMismatch, 2))
	w.step("refusal of Accosa", w.refusedByAccosa)
	w.step("reset through Accosa", w.resetPIN)
	w.step("the right PIN in format 4", w.verifies("2604", "ISO-4", "zpk_aes", issuer.VerificationResultMatch, 3))
	w.step("tries full", func(t *testing.T) {
		r, err := w.issuer.GetPinStatusWithResponse(t.Context(), w.card)
		status(t, err, r, http.StatusOK)
		equal(t, "state", r.JSON200.State, issuer.PinStatusStateChosen)
		equal(t, "blocked", r.JSON200.Blocked, false)
		equal(t, "remainingTries", r.JSON200.RemainingTries, 3)
		equal(t, "tryLimit", r.JSON200.TryLimit, 3)
	})
	w.step("read after the reset", w.reads("2604"))
}

// step is one row of the table; what comes after one that fails would say nothing.
func (w *walk) step(name string, f func(*testing.T)) {
	if !w.t.Run(name, f) {
		w.t.FailNow()
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s is %v, not %v", what, got, want)
	}
}

// status is the first thing to be right about a reply.
func status(t *testing.T, err error, reply interface {
	StatusCode() int
	GetBody() []byte
}, want int,
) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if reply.StatusCode() != want {
		t.Fatalf("status is %d, not %d: %s", reply.StatusCode(), want, reply.GetBody())
	}
}

// credential is one of what the fixtures say of a client.
func (w *walk) credential(client, name string) string {
	return fmt.Sprint(w.fix.Clients[client][name])
}

func (w *walk) fixtures(t *testing.T) {
	c, err := common.NewClientWithResponses(w.url)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.GetSandboxFixturesWithResponse(t.Context())
	status(t, err, r, http.StatusOK)
	w.fix = r.JSON200
}

// bearer has a client send a token that it has just been given.
func (w *walk) bearer(t *testing.T, client string) func(context.Context, *http.Request) error {
	t.Helper()
	id, secret := w.credential(client, "client_id"), w.credential(client, "client_secret")
	var given string
	if client == "thredd" {
		c, err := thredd.NewClientWithResponses(w.url)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.IssueTokenWithFormdataBodyWithResponse(t.Context(),
			thredd.TokenRequest{GrantType: "client_credentials", ClientID: id, ClientSecret: secret})
		status(t, err, r, http.StatusOK)
		equal(t, "token_type", r.JSON200.TokenType, thredd.TokenResponseTokenTypeBearer)
		given = r.JSON200.AccessToken
	} else {
		c, err := common.NewClientWithResponses(w.url)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.IssueTokenWithFormdataBodyWithResponse(t.Context(),
			common.TokenRequest{GrantType: "client_credentials", ClientID: &id, ClientSecret: &secret})
		status(t, err, r, http.StatusOK)
		equal(t, "token_type", r.JSON200.TokenType, common.TokenResponseTokenTypeBearer)
		given = r.JSON200.AccessToken
	}
	return func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+given)
		return nil
	}
}

func (w *walk) clients(t *testing.T) {
	messageKey, err := transport.NewMessageKey(w.credential(sealing, "key_hex"), w.credential(sealing, "key_id"))
	if err != nil {
		t.Fatal(err)
	}
	tokenKey, err := transport.NewTokenKey(w.credential("accosa", "key_hex"))
	if err != nil {
		t.Fatal(err)
	}
	over := func(tr http.RoundTripper) *http.Client { return &http.Client{Transport: tr, Timeout: time.Minute} }
	if w.issuer, err = issuer.NewClientWithResponses(w.url, issuer.WithRequestEditorFn(w.bearer(t, "issuer"))); err != nil {
		t.Fatal(err)
	}
	if w.thredd, err = thredd.NewClientWithResponses(w.url, thredd.WithRequestEditorFn(w.bearer(t, "thredd"))); err != nil {
		t.Fatal(err)
	}
	if w.network, err = networkintl.NewClientWithResponses(w.url, networkintl.WithRequestEditorFn(w.bearer(t, "networkintl"))); err != nil {
		t.Fatal(err)
	}
	if w.creditplus, err = creditplus.NewClientWithResponses(w.url, creditplus.WithRequestEditorFn(w.bearer(t, sealing)),
		creditplus.WithHTTPClient(over(transport.CreditPlus(messageKey, http.DefaultTransport)))); err != nil {
		t.Fatal(err)
	}
	apiKey := func(_ context.Context, r *http.Request) error {
		r.Header.Set("x-api-key", w.credential("accosa", "x-api-key"))
		return nil
	}
	if w.accosa, err = accosa.NewClientWithResponses(w.url, accosa.WithRequestEditorFn(apiKey),
		accosa.WithHTTPClient(over(transport.Accosa(tokenKey, http.DefaultTransport)))); err != nil {
		t.Fatal(err)
	}
}

func (w *walk) createCard(t *testing.T) {
	r, err := w.issuer.CreateCardWithResponse(t.Context(), nil, issuer.CardRequest{
		ProgramID: fmt.Sprint(w.fix.Cards["normal"]["programId"]), Pan: new(pan), Expiry: new(expiry), Sequence: new(sequence),
		CustomerID: new("IN00001201001001"),
		References: &[]issuer.Reference{
			{Kind: issuer.ReferenceKindPublicToken, Value: token},
			{Kind: issuer.ReferenceKindUrn, Value: urn},
			{Kind: issuer.ReferenceKindIdentifier, Value: identifier},
		},
	})
	status(t, err, r, http.StatusCreated)
	equal(t, "maskedPan", *r.JSON201.MaskedPan, "999999******1004")
	w.card = r.JSON201.CardID
}

func (w *walk) reads(pin string) func(*testing.T) {
	return func(t *testing.T) {
		r, err := w.thredd.GetCardPinWithResponse(t.Context(), token)
		status(t, err, r, http.StatusOK)
		equal(t, "pin", r.JSON200.Pin, pin)
	}
}

func (w *walk) counts(state thredd.PinStatusStatus, tries string) func(*testing.T) {
	return func(t *testing.T) {
		r, err := w.thredd.GetCardPinStatusWithResponse(t.Context(), token)
		status(t, err, r, http.StatusOK)
		equal(t, "status", r.JSON200.Status, state)
		equal(t, "remainingTries", r.JSON200.RemainingTries, tries)
	}
}

// block is a PIN block under one of a client's keys.
func (w *walk) block(t *testing.T, format, client, key, pin string) string {
	t.Helper()
	block, err := transport.PINBlock(format, w.credential(client, key+"_hex"), pan, pin)
	if err != nil {
		t.Fatal(err)
	}
	return block
}

func (w *walk) verifies(pin, format, key string, result issuer.VerificationResult, tries int32) func(*testing.T) {
	return func(t *testing.T) {
		r, err := w.issuer.VerifyPinWithResponse(t.Context(), w.card, nil, issuer.PinBlock{
			PinBlock: w.block(t, format, "issuer", key, pin), Format: issuer.PinBlockFormat(format), KeyID: w.credential("issuer", key+"_id"),
		})
		status(t, err, r, http.StatusOK)
		equal(t, "result", r.JSON200.Result, result)
		equal(t, "remainingTries", r.JSON200.RemainingTries, tries)
	}
}

func (w *walk) resetTries(t *testing.T) {
	now := time.Now()
	r, err := w.creditplus.ResetPinRetryCounterV2WithResponse(t.Context(), nil, creditplus.ResetRequest{
		Timestamp: now.Format(time.RFC3339), DataValidUntilTimestamp: now.Add(time.Hour).Format(time.RFC3339), Identifier: new(identifier),
	})
	status(t, err, r, http.StatusOK)
	equal(t, "code", r.JSON200.Code, creditplus.DoneCodeOK)
	equal(t, "serviceRequestNumber", r.JSON200.ServiceRequestNumber[:2], "SR")
}

func (w *walk) change(t *testing.T) {
	var request networkintl.CardPinChangeRequestV1
	change := &request.NISrvRequest.RequestCardPinChange
	change.Header = networkintl.RequestHeader{
		MsgID: "SDK-0001", MsgType: networkintl.RequestHeaderMsgTypeTRANSACTION,
		MsgFunction: networkintl.RequestHeaderMsgFunctionREQCARDPINCHANGE, SrcApplication: "IVR", TargetApplication: "PCMS",
		Timestamp: time.Now().Format(time.RFC3339), BankID: w.credential("networkintl", "bank_id"),
	}
	change.Body = networkintl.BodyV1{
		CardNumber: pan, CardExpiryDate: expiry, CardSequenceNumber: new(sequence), EncryptionMethod: networkintl.EncryptionMethodSYMMETRICENC,
		EncryptedOldPin: w.block(t, "ISO-0", "networkintl", "zpk", "4826"), EncryptedNewPin: w.block(t, "ISO-0", "networkintl", "zpk", "7351"),
		EncryptionKeyID: new(w.credential("networkintl", "zpk_id")),
	}
	r, err := w.network.ChangeCardPinV1WithResponse(t.Context(), request)
	status(t, err, r, http.StatusOK)
	details := r.JSON200.NISrvResponse.ResponseCardPinChange.ExceptionDetails
	equal(t, "status", details.Status, networkintl.ExceptionDetailsStatusS)
	equal(t, "error_code", details.ErrorCode, "000")
}

// accosaReset resets the PIN to 2604.
func (w *walk) accosaReset(t *testing.T, transaction, last4 string) *accosa.ResetPinHTTPResponse {
	t.Helper()
	m := accosa.ResetPinMessage{
		ClientTxnID: transaction, RequestDateTime: time.Now().UTC().Format("20060102150405"), Last4Digits: &last4, NewPIN: "2604",
		Urn: &accosa.ResetPinMessage_Urn{}, CustomerID: new("IN00001201001001"),
	}
	if err := m.MessageCode.FromResetPinMessageMessageCode0("1120"); err != nil {
		t.Fatal(err)
	}
	if err := m.Urn.FromResetPinMessageUrn0(urn); err != nil {
		t.Fatal(err)
	}
	r, err := w.accosa.ResetPinWithResponse(t.Context(), &accosa.ResetPinParams{
		ClientID: w.credential("accosa", "clientId"), BankID: w.credential("accosa", "bankId"),
		EntityID: w.credential("accosa", "entityId"), SecureCode: w.credential("accosa", "secureCode"),
	}, m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *walk) refusedByAccosa(t *testing.T) {
	r := w.accosaReset(t, "SDK-0001", "0000")
	status(t, nil, r, http.StatusNotFound)
	equal(t, "responseCode", r.JSON404.ResponseCode, "1231")
}

func (w *walk) resetPIN(t *testing.T) {
	r := w.accosaReset(t, "SDK-0002", "1004")
	status(t, nil, r, http.StatusOK)
	equal(t, "responseCode", r.JSON200.ResponseCode, accosa.ResetPinReplyResponseCodeN00)
}
