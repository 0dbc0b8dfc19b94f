// Command scenario walks through the scenario of scripts/sdk/README.md, by the module: one new card, one PIN, every
// contract.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/google/uuid"

	"pinvault.example/sdk"
	"pinvault.example/sdk/accosa"
	"pinvault.example/sdk/common"
	"pinvault.example/sdk/creditplus"
	"pinvault.example/sdk/hashdt"
	"pinvault.example/sdk/hosted"
	"pinvault.example/sdk/issuer"
	"pinvault.example/sdk/networkintl"
	"pinvault.example/sdk/sandbox"
	"pinvault.example/sdk/thredd"
)

const (
	pan        = "9999990000001004"
	token      = "103170001"
	urn        = "70000001001"
	identifier = "DEVICE0000001001"
	sealing    = "creditplus_encrypted_only" // the client of Credit+ that may not send in the clear
)

var (
	ctx   = context.Background()
	steps int
)

// must is a call's result; an error ends the walk.
func must[T any](result T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return result
}

func step(what string) {
	steps++
	fmt.Printf("%2d %s\n", steps, what)
}

func equal[T comparable](what string, got, want T) {
	if got != want {
		must(0, fmt.Errorf("%s is %v, not %v", what, got, want))
	}
}

// refused is the error that a call gave: it must be of the contract, and have status and code.
func refused(what string, err error, contract string, status int, code string) {
	var e *pinvault.Error
	if !errors.As(err, &e) || e.Contract != contract || e.Status != status || e.Code != code || e.Advice == "" {
		must(0, fmt.Errorf("%s: %v", what, err))
	}
	step(what)
}

// program stands in the place of a test, so that the walk has a space.
type program struct{ after []func() }

func (*program) Helper() {}

func (p *program) Cleanup(do func()) { p.after = append(p.after, do) }

func (*program) Fatalf(format string, arguments ...any) { must(0, fmt.Errorf(format, arguments...)) }

func (p *program) end() {
	for _, do := range p.after {
		do()
	}
}

type walk struct {
	common     *common.ClientWithResponses
	issuer     *issuer.ClientWithResponses
	approver   *issuer.ClientWithResponses
	thredd     *thredd.ClientWithResponses
	creditplus *creditplus.ClientWithResponses
	network    *networkintl.ClientWithResponses
	accosa     *accosa.ClientWithResponses
	hashdt     *hashdt.ClientWithResponses
	hosted     *hosted.ClientWithResponses

	fix  *sandbox.Fixtures
	card issuer.CardID
}

// credential is one of what the fixtures say of a client.
func (w *walk) credential(client, name string) string { return fmt.Sprint(w.fix.Clients[client][name]) }

func main() {
	w := &walk{}
	once := &program{}
	defer once.end()
	w.connect(sandbox.New(once).URL)
	w.create()
	must(w.thredd.SetCardPinWithResponse(ctx, token, nil, thredd.SetPinRequest{Pin: "4826"}))
	step("thredd: set the PIN")
	w.reads("4826")
	for left := range int32(3) {
		w.verifies("9182", "ISO-0", "zpk", issuer.VerificationResultMismatch, 2-left)
	}
	w.verifies("4826", "ISO-0", "zpk", issuer.VerificationResultBlocked, 0)
	w.counts(thredd.PinStatusStatusBlocked, "0")

	reset := must(w.resetTries(identifier))
	equal("code", reset.JSON200.Code, creditplus.DoneCodeOK)
	equal("serviceRequestNumber", reset.JSON200.ServiceRequestNumber[:2], "SR")
	step("creditplus: reset the try counter, sealed")
	w.counts(thredd.PinStatusStatusUnblocked, "3")

	details := must(w.change(pan)).JSON200.NISrvResponse.ResponseCardPinChange.ExceptionDetails
	equal("status", details.Status, networkintl.ExceptionDetailsStatusS)
	equal("error_code", details.ErrorCode, "000")
	step("networkintl: change the PIN")
	w.reads("7351")
	w.verifies("9182", "ISO-0", "zpk", issuer.VerificationResultMismatch, 2)

	_, err := w.forgotten("0000")
	refused("accosa: another card is unknown, sealed", err, "accosa", http.StatusNotFound, accosa.Code1231)
	equal("responseCode", must(w.forgotten("1004")).JSON200.ResponseCode, accosa.ResetPinReplyResponseCodeN00)
	step("accosa: reset the PIN, sealed")
	w.verifies("2604", "ISO-4", "zpk_aes", issuer.VerificationResultMatch, 3)

	state := must(w.issuer.GetPinStatusWithResponse(ctx, w.card)).JSON200
	equal("state", state.State, issuer.PinStatusStateChosen)
	equal("blocked", state.Blocked, false)
	equal("remainingTries", state.RemainingTries, 3)
	equal("tryLimit", state.TryLimit, 3)
	step("issuer: status, the tries full")
	w.reads("2604")

	w.page()
	w.foretold()
	w.approved()
	w.released()
	w.limited()
	w.refusals()
}

func (w *walk) connect(server string) {
	w.fix = must(must(sandbox.Connect(server)).GetSandboxFixturesWithResponse(ctx, nil)).JSON200
	step("sandbox: fixtures")
	w.common = must(common.Connect(server))
	issued := must(w.token(w.credential("issuer", "client_secret"))).JSON200
	equal("token_type", issued.TokenType, common.TokenResponseTokenTypeBearer)
	step("common: a token")

	credentials := func(client string) (string, string, string) {
		return server, w.credential(client, "client_id"), w.credential(client, "client_secret")
	}
	url, id, secret := credentials("issuer")
	w.issuer = must(issuer.Connect(url, id, secret))
	url, id, secret = credentials("issuer_approver")
	w.approver = must(issuer.Connect(url, id, secret))
	url, id, secret = credentials("thredd")
	w.thredd = must(thredd.Connect(url, id, secret))
	url, id, secret = credentials("networkintl")
	w.network = must(networkintl.Connect(url, id, secret))
	url, id, secret = credentials(sealing)
	messageKey := must(pinvault.NewMessageKey(w.credential(sealing, "key_hex"), w.credential(sealing, "key_id")))
	w.creditplus = must(creditplus.Connect(url, id, secret, messageKey))
	tokenKey := must(pinvault.NewTokenKey(w.credential("accosa", "key_hex")))
	w.accosa = must(accosa.Connect(server, w.credential("accosa", "x-api-key"), tokenKey))
	w.hashdt = must(hashdt.Connect(server, w.credential("hashdt", "x-api-key")))
	w.hosted = must(hosted.Connect(server))
}

func (w *walk) token(secret string) (*common.IssueTokenHTTPResponse, error) {
	return w.common.IssueTokenWithFormdataBodyWithResponse(ctx, common.TokenRequest{
		GrantType: "client_credentials", ClientID: new(w.credential("issuer", "client_id")), ClientSecret: &secret,
	})
}

func (w *walk) create() {
	card := must(w.issuer.CreateCardWithResponse(ctx, nil, issuer.CardRequest{
		ProgramID: fmt.Sprint(w.fix.Cards["normal"]["programId"]), Pan: new(pan), Expiry: new("3112"), Sequence: new("01"),
		CustomerID: new("IN00001201001001"), CardholderID: new("CH00001001"), WalletID: new("WL00001001"),
		References: &[]issuer.Reference{
			{Kind: issuer.ReferenceKindPublicToken, Value: token},
			{Kind: issuer.ReferenceKindUrn, Value: urn},
			{Kind: issuer.ReferenceKindIdentifier, Value: identifier},
			{Kind: issuer.ReferenceKindHashdtCardID, Value: "CD00001001"},
		},
	})).JSON201
	equal("maskedPan", *card.MaskedPan, "999999******1004")
	w.card = card.CardID
	step("issuer: create the card")
}

func (w *walk) reads(pin string) {
	equal("pin", must(w.thredd.GetCardPinWithResponse(ctx, token)).JSON200.Pin, pin)
	step("thredd: read the PIN")
}

func (w *walk) counts(state thredd.PinStatusStatus, tries string) {
	status := must(w.thredd.GetCardPinStatusWithResponse(ctx, token)).JSON200
	equal("status", status.Status, state)
	equal("remainingTries", status.RemainingTries, tries)
	step("thredd: status, " + string(state) + ", tries " + tries)
}

// block is a PIN block under one of a client's keys.
func (w *walk) block(format, client, key, pan, pin string) string {
	return must(pinvault.PINBlock(format, w.credential(client, key+"_hex"), pan, pin))
}

func (w *walk) verifies(pin, format, key string, result issuer.VerificationResult, tries int32) {
	verified := must(w.issuer.VerifyPinWithResponse(ctx, w.card, nil, issuer.PinBlock{
		PinBlock: w.block(format, "issuer", key, pan, pin), Format: issuer.PinBlockFormat(format), KeyID: w.credential("issuer", key+"_id"),
	})).JSON200
	equal("result", verified.Result, result)
	equal("remainingTries", verified.RemainingTries, tries)
	step(fmt.Sprintf("issuer: verify a PIN, %s, tries %d", result, tries))
}

func (w *walk) resetTries(identifier string) (*creditplus.ResetPinRetryCounterV2HTTPResponse, error) {
	now := time.Now()
	return w.creditplus.ResetPinRetryCounterV2WithResponse(ctx, nil, creditplus.ResetRequest{
		Timestamp: now.Format(time.RFC3339), DataValidUntilTimestamp: now.Add(time.Hour).Format(time.RFC3339), Identifier: &identifier,
	})
}

func (w *walk) change(pan string) (*networkintl.ChangeCardPinV1HTTPResponse, error) {
	var request networkintl.CardPinChangeRequestV1
	change := &request.NISrvRequest.RequestCardPinChange
	change.Header = networkintl.RequestHeader{
		MsgID: uuid.NewString()[:12], MsgType: networkintl.RequestHeaderMsgTypeTRANSACTION,
		MsgFunction: networkintl.RequestHeaderMsgFunctionREQCARDPINCHANGE, SrcApplication: "IVR", TargetApplication: "PCMS",
		Timestamp: time.Now().Format(time.RFC3339), BankID: w.credential("networkintl", "bank_id"),
	}
	change.Body = networkintl.BodyV1{
		CardNumber: pan, CardExpiryDate: "3112", CardSequenceNumber: new("01"), EncryptionMethod: networkintl.EncryptionMethodSYMMETRICENC,
		EncryptedOldPin: w.block("ISO-0", "networkintl", "zpk", pan, "4826"), EncryptedNewPin: w.block("ISO-0", "networkintl", "zpk", pan, "7351"),
		EncryptionKeyID: new(w.credential("networkintl", "zpk_id")),
	}
	return w.network.ChangeCardPinV1WithResponse(ctx, request)
}

// forgotten resets the PIN to 2604.
func (w *walk) forgotten(last4 string) (*accosa.ResetPinHTTPResponse, error) {
	m := accosa.ResetPinMessage{
		ClientTxnID: uuid.NewString(), RequestDateTime: time.Now().UTC().Format("20060102150405"), Last4Digits: &last4, NewPIN: "2604",
		Urn: &accosa.ResetPinMessage_Urn{}, CustomerID: new("IN00001201001001"),
	}
	must(0, m.MessageCode.FromResetPinMessageMessageCode0("1120"))
	must(0, m.Urn.FromResetPinMessageUrn0(urn))
	return w.accosa.ResetPinWithResponse(ctx, &accosa.ResetPinParams{
		ClientID: w.credential("accosa", "clientId"), BankID: w.credential("accosa", "bankId"),
		EntityID: w.credential("accosa", "entityId"), SecureCode: w.credential("accosa", "secureCode"),
	}, m)
}

func (w *walk) link(card string) (*hashdt.ResetPinHTTPResponse, error) {
	return w.hashdt.ResetPinWithResponse(ctx, "v1", &hashdt.ResetPinParams{
		XProductID:    w.credential("hashdt", "x-product-id"),
		XCardholderID: "CH00001001", XWalletID: "WL00001001", XCardID: card, XRequestID: uuid.NewString(),
	})
}

// page has the cardholder's page for the card, asks how it fares, and exchanges its secret.
func (w *walk) page() {
	var fetched struct {
		Data []struct {
			URL string `json:"set_pin_url"`
		}
	}
	must(0, json.Unmarshal(must(w.link("CD00001001")).Body, &fetched))
	link := must(url.Parse(fetched.Data[0].URL))
	step("hashdt: a page for the cardholder")
	session := path.Base(link.Path)
	fares := must(w.issuer.GetPinSessionWithResponse(ctx, session)).JSON200
	equal("state", string(fares.State), "opened")
	equal("card", fares.CardID, w.card)
	step("issuer: how the page fares")
	_, err := w.hosted.ExchangeSecretWithResponse(ctx, session, hosted.Exchange{Secret: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})
	refused("hosted: a secret that is not the link's", err, "hosted", http.StatusNotFound, hosted.CodeUnusable)
	granted := must(w.hosted.ExchangeSecretWithResponse(ctx, session, hosted.Exchange{Secret: link.Fragment})).JSON200
	equal("a token", granted.Token != "", true)
	step("hosted: the link's secret")
}

// foretold asks what can be done with the card's PIN.
func (w *walk) foretold() {
	told := must(w.issuer.GetPinCapabilitiesWithResponse(ctx, w.card, nil)).JSON200
	equal("language", told.Language, "en")
	for _, one := range told.Capabilities {
		equal(string(one.Operation)+" possible", one.Possible, true)
	}
	step("issuer: what can be done with the PIN")
}

// approved unblocks a PIN of a program that asks for a second client's approval.
func (w *walk) approved() {
	card := fmt.Sprint(w.fix.Cards["dual"]["cardId"])
	const reason = "Cardholder identified at the branch"
	asked := must(w.issuer.RequestApprovalWithResponse(ctx, card, nil, issuer.ApprovalRequest{
		Action: issuer.ApprovalRequestActionUnblock, Reason: reason,
	})).JSON201
	equal("state", asked.State, issuer.ApprovalStatePending)
	equal("client", asked.ClientID, "issuer-sandbox")
	step("issuer: request an approval")
	grant := issuer.ApprovalDecision{Decision: issuer.ApprovalDecisionDecisionGrant}
	_, err := w.issuer.DecideApprovalWithResponse(ctx, asked.ApprovalID, nil, grant)
	refused("issuer: nobody grants what they have asked for", err, "issuer", http.StatusConflict, issuer.CodeSameClient)
	granted := must(w.approver.DecideApprovalWithResponse(ctx, asked.ApprovalID, nil, grant)).JSON200
	equal("state", granted.State, issuer.ApprovalStateGranted)
	step("issuer: another client grants it")
	must(w.issuer.UnblockPinWithResponse(ctx, card, nil, issuer.Unblock{Reason: reason}))
	step("issuer: unblock a PIN, approved")
	_, err = w.issuer.UnblockPinWithResponse(ctx, card, nil, issuer.Unblock{Reason: reason})
	refused("issuer: an approval is good for once", err, "issuer", http.StatusConflict, issuer.CodeApprovalNeeded)
}

// released has a client that the alarm has halted verify PINs again.
func (w *walk) released() {
	const halted = "issuer_halted-sandbox"
	equal("halted", must(w.issuer.GetClientWithResponse(ctx, halted)).JSON200.Halted != nil, true)
	step("issuer: a client that is halted")
	free := must(w.issuer.ReleaseClientWithResponse(ctx, halted, nil, issuer.Release{Reason: "Another zone key"})).JSON200
	equal("halted", free.Halted == nil, true)
	step("issuer: release it")
}

// limited has Thredd's client unblock more often than it may: the card was unblocked through Credit+.
func (w *walk) limited() {
	limits := issuer.ClientLimits{UnblocksPerCardAndDay: new(int64(1))}
	set := must(w.issuer.SetClientLimitsWithResponse(ctx, "thredd-sandbox", limits)).JSON200
	equal("limit", *set.Limits.UnblocksPerCardAndDay, 1)
	step("issuer: one unblock a card and day for thredd")
	_, err := w.thredd.UnblockCardPinWithResponse(ctx, token, nil, thredd.UnblockPinRequest{})
	refused("thredd: one unblock too many", err, "thredd", http.StatusTooManyRequests, thredd.Code429)
	var e *pinvault.Error
	equal("told to wait for hours", errors.As(err, &e) && e.RetryAfter > time.Hour, true)
}

func (w *walk) refusals() {
	_, err := w.token("wrong")
	refused("common: a wrong client secret", err, "common", http.StatusUnauthorized, common.CodeInvalidClient)
	_, err = w.thredd.GetCardPinWithResponse(ctx, "999999999")
	refused("thredd: an unknown card", err, "thredd", http.StatusNotFound, thredd.Code404)
	_, err = w.resetTries("DEVICE0000009999")
	refused("creditplus: an unknown card, sealed", err, "creditplus", http.StatusBadRequest, creditplus.CodeRecordNotFound)
	_, err = w.change("9999990000009999")
	refused("networkintl: an unknown card", err, "networkintl", http.StatusOK, networkintl.Code889)
	_, err = w.link("CD00009999")
	refused("hashdt: an unknown card", err, "hashdt", http.StatusNotFound, hashdt.Code404)
	_, err = w.issuer.GetCardWithResponse(ctx, uuid.NewString())
	refused("issuer: an unknown card", err, "issuer", http.StatusNotFound, issuer.CodeNotFound)
}
