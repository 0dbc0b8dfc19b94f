package accosa

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"pinvault/generated/accosa"
	"pinvault/impl/contract"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
)

// row is one line of the error table, and an error that is answered with it.
type row struct {
	status  int
	code    string
	message string
	field   string // that the description names; "": the description of a success
	clear   bool   // in clear, although a key may be known
}

// Error is the code and its name.
func (r row) Error() string { return r.code + " " + r.message }

func missing(field string) row {
	return row{status: http.StatusBadRequest, code: "9004", message: "MISSING_REQUIRED_FIELD", field: field}
}

func invalid(field string) row {
	return row{status: http.StatusBadRequest, code: "9004", message: "INVALID_FIELD", field: field}
}

// noSelector is the row of a message that names no card.
var noSelector = missing("urn, customerId or mobileNumber")

// The rows of what is found before a message is read. They go out in clear.
var (
	noAPIKey        = row{status: http.StatusUnauthorized, message: string(accosa.UnauthorizedMessageNoAPIKeyFoundInRequest)}
	wrongBank       = row{status: http.StatusForbidden, code: "1031", message: "INVALID BANK ID", clear: true}
	wrongSecureCode = row{status: http.StatusForbidden, code: "1049", message: "INVALID SECURE CODE", clear: true}
	tooMany         = row{status: http.StatusTooManyRequests, code: "1052", message: "SYSTEM ERROR", clear: true}
	requestNotFound = row{status: http.StatusBadRequest, code: "1053", message: "REQUEST NOT FOUND", clear: true}
)

// mandatory are the headers whose absence has a row of its own, in the order in which they are asked for.
var mandatory = []struct {
	name   string
	absent row
}{
	{"clientId", row{status: http.StatusBadRequest, code: "1262", message: "CLIENT ID NOT PRESENT IN THE REQUEST", clear: true}},
	{"bankId", row{status: http.StatusBadRequest, code: "1264", message: "BANK ID NOT PRESENT IN THE REQUEST", clear: true}},
	{"secureCode", row{status: http.StatusBadRequest, code: "1311", message: "SECURE CODE NOT PRESENT IN REQUEST", clear: true}},
}

// The rows of what a message says. They go out in a token.
var (
	invalidMobile    = row{status: http.StatusBadRequest, code: "1034", message: "INVALID_MOBILE_NUMBER"}
	invalidDate      = row{status: http.StatusBadRequest, code: "1088", message: "INVALID_DATE_FORMAT"}
	profileMandatory = row{status: http.StatusBadRequest, code: "1090", message: "CARD_PROFILEID_MANDATORY"}
	invalidProfile   = row{status: http.StatusBadRequest, code: "1091", message: "INVALID_CARDPROFILE_ID"}
	invalidEmail     = row{status: http.StatusBadRequest, code: "1092", message: "INVALID_EMAIL_ADDRESS"}
	dataNotFound     = row{status: http.StatusNotFound, code: "1231", message: "DATA_NOT_FOUND"}
	severalCustomers = row{status: http.StatusBadRequest, code: "1237", message: "DUPLICATE_MOBILE_NUMBER_WITH_MULTIPLE_ACCOUNT"}
	unknownCustomer  = row{status: http.StatusNotFound, code: "1306", message: "PROFILE_NOTFOUND"}
	mismatch         = row{status: http.StatusBadRequest, code: "1309", message: "CARDPROFILE_MISTMATCH"} // sic
	cardBlocked      = row{status: http.StatusForbidden, code: "1011", message: "CARD PERMANENT BLOCK"}
	invalidPIN       = row{status: http.StatusBadRequest, code: "9001", message: "INVALID_NEW_PIN"}
	invalidCode      = row{status: http.StatusBadRequest, code: "9002", message: "INVALID_MESSAGE_CODE"}
	duplicateTxn     = row{status: http.StatusBadRequest, code: "9003", message: "DUPLICATE_CLIENT_TXN_ID"}
	systemError      = row{status: http.StatusInternalServerError, code: "1052", message: "SYSTEM ERROR"}
	unavailable      = row{status: http.StatusServiceUnavailable, code: "1052", message: "SYSTEM ERROR"}
	unauthorized     = row{status: http.StatusUnauthorized, message: string(accosa.UnauthorizedMessageUnauthorized)}
)

// rows are the rows of the vault's codes.
var rows = pin.MustErrorTable(map[pin.Code]row{
	pin.Internal:       systemError,
	pin.Unavailable:    unavailable,
	pin.Unauthorized:   unauthorized,
	pin.Forbidden:      unauthorized, // an API key that may not do this
	pin.ApprovalNeeded: unauthorized,
	pin.NotFound:       dataNotFound,
	pin.Ambiguous:      dataNotFound,
	pin.Conflict:       unavailable, // trying again helps
	pin.Duplicate:      unavailable,
	pin.InvalidField:   invalid("urn"),
	pin.InvalidPIN:     invalidPIN,
	pin.PINLength:      invalidPIN,
	pin.WeakPIN:        invalidPIN,
	pin.RecentPIN:      invalidPIN,
	pin.WrongPIN:       invalidPIN,
	pin.CardStatus:     cardBlocked,
	pin.Blocked:        cardBlocked,
	pin.NoPIN:          dataNotFound,
	pin.RetrievalOff:   systemError,
	pin.Unopenable:     requestNotFound,
	pin.UnfitBlock:     systemError,
	pin.UnknownKey:     systemError, // the client was set up without a key that serves
	pin.ReplayOther:    duplicateTxn,
	pin.ReplayChanged:  duplicateTxn,
	pin.ReplayUnderway: unavailable,
	pin.TooMany:        tooMany,
	pin.Halted:         unauthorized, // no operation of this contract verifies PINs
})

// field is a field of a message and its rows: wrong where it is there, absent where it is not or null.
type field struct {
	name          string
	absent, wrong row
}

// fields are the fields of a message in the order in which they are answered for.
var fields = []field{
	{"messageCode", missing("messageCode"), invalidCode},
	{"clientTxnId", missing("clientTxnId"), invalid("clientTxnId")},
	{"requestDateTime", missing("requestDateTime"), invalidDate},
	{"last4Digits", missing("last4Digits"), invalid("last4Digits")},
	{"urn", noSelector, invalid("urn")},
	{"newPIN", invalidPIN, invalidPIN},
	{"customerId", invalid("customerId"), invalid("customerId")},
	{"mobileNumber", invalidMobile, invalidMobile},
	{"emailAddress", invalidEmail, invalidEmail},
	{"cardProfileId", invalidProfile, invalidProfile},
}

// Render says how an error is answered.
func (a *API) Render(request *http.Request, _ *contract.Operation, err error) contract.Reply {
	ctx := request.Context()
	r := a.row(ctx, err)
	if r.status == http.StatusUnauthorized {
		return contract.JSON(r.status, "application/json", accosa.Unauthorized{Message: accosa.UnauthorizedMessage(r.message)}).
			With("Www-Authenticate", `Key realm="`+Name+`"`)
	}
	body := any(accosa.PlainError{ResponseCode: r.code, ResponseMessage: r.message})
	if token, ok := a.sealed(ctx, r); ok {
		body = token
	}
	return contract.JSON(r.status, "application/json", body)
}

// row is the line of the table that answers an error.
func (a *API) row(ctx context.Context, err error) row {
	if r, ok := errors.AsType[row](err); ok {
		return r
	}
	if broken, ok := errors.AsType[contract.Broken](err); ok {
		return a.wire(ctx, broken)
	}
	return rows.Of(err)
}

// wire is the row of what is wrong with the request around the message.
func (a *API) wire(ctx context.Context, broken contract.Broken) row {
	first, notFound := broken[0], requestNotFound
	notFound.status = broken.Status()
	switch {
	case notFound.status != http.StatusBadRequest:
		return notFound
	case first.In == contract.InBody:
		// There is no token. It takes the time of one that does not open all the same.
		if known := callOf(ctx); known != nil {
			_ = a.open(ctx, known, "")
		}
		return notFound
	case first.Rule == contract.RuleRequired:
		return missing(first.Label)
	}
	return invalid(cmp.Or(first.Label, string(first.In)))
}

// sealed is the token of an error, if it goes out in one: our own fault only under the key that opened
// the request, any other error under the client's current key where none has.
func (a *API) sealed(ctx context.Context, r row) (token accosa.Token, ok bool) {
	known := callOf(ctx)
	if r.clear || known == nil {
		return token, false
	}
	key := known.key
	if key == nil && r.status < http.StatusInternalServerError {
		key = a.currentKey(ctx, known)
	}
	if key == nil {
		return token, false
	}
	token, err := a.seal(ctx, key, a.failure(known, r))
	return token, err == nil
}

// Seal makes the body of a reply of what is to be inside, under the key of the client's that opens the request, or else
// its current one.
func (a *API) Seal(r *http.Request, message []byte) ([]byte, error) {
	ctx := r.Context()
	known := callOf(ctx)
	if known == nil {
		return nil, &pin.Error{Code: pin.Unauthorized}
	}
	keys, err := known.settings.tokenKeys(ctx, a.keys, known.client.ProgramID)
	if err != nil {
		return nil, err
	}
	var sent accosa.Token
	if json.NewDecoder(io.LimitReader(r.Body, maxSealed)).Decode(&sent) != nil {
		sent = accosa.Token{} // whatever it is, the reply is sealed
	}
	key := keys[0]
	for _, other := range keys {
		text, ok := other.Open(sent.Token)
		if clear(text); ok {
			key = other
		}
	}
	token, err := a.seal(ctx, key, json.RawMessage(message))
	if err != nil {
		return nil, err
	}
	return json.Marshal(token)
}

// maxSealed is as much of a request as is looked at for its key.
const maxSealed = 64 << 10

// currentKey is the client's current key, nil when there is none to be had.
func (a *API) currentKey(ctx context.Context, known *call) *keyring.TokenKey {
	keys, err := known.settings.tokenKeys(ctx, a.keys, known.client.ProgramID)
	if err != nil {
		return nil
	}
	return keys[0]
}

// failure is what is inside the token of an error: of the request, what kept the contract.
func (a *API) failure(known *call, r row) accosa.ResetPinError {
	e := accosa.ResetPinError{
		Urn:              number64(known.message.urn),
		CustomerID:       sent(known.message.customerID),
		Description:      cmp.Or(r.field, string(accosa.ResetPinReplyDescriptionResetPin)),
		ResponseCode:     r.code,
		MessageCode:      accosa.ResetPinErrorMessageCodeN1121,
		ClientTxnID:      sent(known.message.clientTxnID),
		ClientID:         known.settings.ClientID,
		ResponseDateTime: a.now().In(known.zone).Format(wholeSecond),
		ResponseMessage:  r.message,
	}
	if bank := number64(known.settings.BankID); bank != nil {
		e.BankID = *bank
	}
	return e
}

// row is that of a violation of the field.
func (f field) row(v contract.Violation) row {
	if v.Rule == contract.RuleRequired || v.Rule == contract.RuleNull {
		return f.absent
	}
	return f.wrong
}

// sent leaves an empty text out of the reply.
func sent(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
