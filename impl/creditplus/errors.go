package creditplus

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"pinvault/generated/creditplus"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// row is one line of an error table, and an error that is answered with it: the status, the code, and its
// text. In the text stand, of the field that is wrong, {label}, {missing} (its label where it is missing),
// {min}, {max}, {name} and {value}.
type row struct {
	status     int
	code, text string
	details    string // V2, "" for none
}

// Error is the code. The texts may quote what was sent.
func (r row) Error() string { return r.code }

// Rows of V2 that more than one code, or none of the vault's, is answered with.
var (
	internal  = row{status: http.StatusInternalServerError, code: "INTERNAL_ERROR", text: "The server could not process the request."}
	forbidden = row{status: http.StatusForbidden, code: "AUTHORIZATION_ERROR", text: "User is not authorized to access requested resource."}
	past      = row{status: http.StatusBadRequest, code: "TIMESTAMP_ERROR", text: "Request timestamp is in past."}
	future    = row{status: http.StatusBadRequest, code: "TIMESTAMP_ERROR", text: "Request timestamp is in future."}
	aliasOff  = row{status: http.StatusInternalServerError, code: "ALIAS_CAPABILITY_NOT_ENABLED", text: "Alias capability not enabled."}
)

// v2 is V2's error table, for what the vault reports. There is no PIN and no idempotency key in a request, so
// that what is said of those is our own fault.
var v2 = pin.MustErrorTable(map[pin.Code]row{
	pin.Internal:       internal,
	pin.Unavailable:    {status: http.StatusServiceUnavailable, code: "SERVICE_UNAVAILABLE", text: "The service is not available at the moment."},
	pin.Unauthorized:   forbidden,
	pin.Forbidden:      forbidden,
	pin.ApprovalNeeded: forbidden,
	pin.Unopenable:     {status: http.StatusBadRequest, code: "CRYPTOGRAPHY_ERROR", text: "Error occurred while decryption of the encrypted request payload."},
	pin.NotFound:       {status: http.StatusBadRequest, code: "RECORD_NOT_FOUND", text: "Record not found for given search criteria."},
	pin.Ambiguous:      {status: http.StatusBadRequest, code: "UNIQUE_RECORD_NOT_FOUND", text: "Multiple records found for given search criteria."},
	pin.CardStatus:     {status: http.StatusBadRequest, code: "DEVICE_STATUS_NOT_SUPPORTED", text: "Device, Operation not permitted"},
	pin.TooMany:        {status: http.StatusTooManyRequests, code: "TOO_MANY_REQUESTS", text: "Too many requests. Try again later."},
	pin.Halted:         internal,
	pin.Conflict:       internal,
	pin.Duplicate:      internal,
	pin.InvalidField:   internal,
	pin.InvalidPIN:     internal,
	pin.PINLength:      internal,
	pin.WeakPIN:        internal,
	pin.RecentPIN:      internal,
	pin.NoPIN:          internal,
	pin.RetrievalOff:   internal,
	pin.WrongPIN:       internal,
	pin.Blocked:        internal,
	pin.UnfitBlock:     internal,
	pin.UnknownKey:     internal,
	pin.ReplayOther:    internal,
	pin.ReplayChanged:  internal,
	pin.ReplayUnderway: internal,
})

// v2Whole are V2's replies to what is wrong with a request as a whole.
var v2Whole = map[int]row{
	http.StatusNotFound:              {status: http.StatusNotFound, code: "NOT_FOUND", text: "There is no operation at this path."},
	http.StatusMethodNotAllowed:      {status: http.StatusMethodNotAllowed, code: "METHOD_NOT_ALLOWED", text: "The method is not allowed."},
	http.StatusRequestEntityTooLarge: {status: http.StatusRequestEntityTooLarge, code: "PAYLOAD_TOO_LARGE", text: "The body is too large."},
	http.StatusUnsupportedMediaType:  {status: http.StatusUnsupportedMediaType, code: "UNSUPPORTED_MEDIA_TYPE", text: "The body must be application/jose or application/json, not encoded."},
}

// step is a place in the documented order of errors: broken rules of some fields, in the order of the
// fields, and the row that they get. No rules are all rules, no fields all fields as they come.
type step struct {
	rules  []contract.Rule
	fields []string // JSON pointers
	row    row
}

var (
	absence = []contract.Rule{contract.RuleRequired, contract.RuleNull}
	length  = []contract.Rule{contract.RuleMinLength, contract.RuleMaxLength}
	charset = []contract.Rule{contract.RulePattern}
)

// v2Order is V2's order from the selectors to the values. Broken JSON stands alone, so it needs no
// place before them.
var v2Order = []step{
	{[]contract.Rule{"not"}, []string{""},
		row{status: http.StatusBadRequest, code: "ERR_CODE_MISSING_REQUIRED_FIELD", text: "Missing Required Field identifier or packID or alias or number."}},
	{absence, []string{"/timestamp", "/dataValidUntilTimestamp"},
		row{status: http.StatusBadRequest, code: "MISSING_REQUIRED_FIELD", text: "Missing Required Field '{missing}'."}},
	{length, []string{"/packID", "/identifier", "/programCode", "/devicePlanCode", "/alias", "/notes", "/number"},
		row{status: http.StatusBadRequest, code: "INVALID_FIELD_LENGTH", text: "{label} size must be between {min} and {max}."}},
	{nil, []string{"/source"}, malformed},
	{charset, []string{"/identifier", "/packID", "/alias", "/number", "/programCode", "/devicePlanCode"},
		row{status: http.StatusBadRequest, code: "INVALID_FIELD_VALUE", text: "'{name}' field value '{value}' is invalid."}},
	{nil, []string{"/timestamp", "/dataValidUntilTimestamp"}, malformed},
	{row: malformed},
}

var malformed = row{status: http.StatusBadRequest, code: "INVALID_FIELD_FORMAT", text: "Incorrect value for field {label}."}

// Rows of V1 that more than one code, or none of the vault's, is answered with.
var (
	unwritten        = row{status: http.StatusInternalServerError, code: "RP107", text: "Error while executing Retry pin reset counter through AP"}
	planUnread       = row{status: http.StatusInternalServerError, code: "RP103", text: "Error while retrieving data from device plan"}
	deviceUnread     = row{status: http.StatusInternalServerError, code: "RP101", text: "DEVICE_ERROR"}
	invalidUser      = row{status: http.StatusForbidden, code: "900", text: "Invalid User"}
	noDevice         = row{status: http.StatusNotFound, code: "998", text: "Device(s) does not exist"}
	otherInstitution = row{status: http.StatusNotFound, code: "998", text: "NO_DEVICE_ERROR"}
	planMissing      = row{status: http.StatusBadRequest, code: "RP102", text: "Invalid Device Plan."}
	dateLater        = row{status: http.StatusBadRequest, code: "997", text: "Request Date should be less than or equal to institution date."}
	dateMalformed    = row{status: http.StatusBadRequest, code: "997", text: "Request Date field must be in MM/dd/yyyy HH:mm:ss format."}
	invalid          = row{status: http.StatusBadRequest, code: "997", text: "Reset Pin Retry Counter failed: invalid request"}
)

// v1 is V1's error table, as v2 is V2's.
var v1 = pin.MustErrorTable(map[pin.Code]row{
	pin.Internal:       unwritten,
	pin.Unavailable:    unwritten,
	pin.Unauthorized:   invalidUser,
	pin.Forbidden:      invalidUser,
	pin.ApprovalNeeded: invalidUser,
	pin.Unopenable:     invalid,
	pin.NotFound:       noDevice,
	pin.Ambiguous:      noDevice,
	pin.CardStatus:     {status: http.StatusBadRequest, code: "HDE100", text: "Device is not in normal state"},
	pin.TooMany:        {status: http.StatusTooManyRequests, code: invalid.code, text: "Reset Pin Retry Counter failed: too many requests"},
	pin.Halted:         unwritten,
	pin.Conflict:       unwritten,
	pin.Duplicate:      unwritten,
	pin.InvalidField:   unwritten,
	pin.InvalidPIN:     unwritten,
	pin.PINLength:      unwritten,
	pin.WeakPIN:        unwritten,
	pin.RecentPIN:      unwritten,
	pin.NoPIN:          unwritten,
	pin.RetrievalOff:   unwritten,
	pin.WrongPIN:       unwritten,
	pin.Blocked:        unwritten,
	pin.UnfitBlock:     unwritten,
	pin.UnknownKey:     unwritten,
	pin.ReplayOther:    unwritten,
	pin.ReplayChanged:  unwritten,
	pin.ReplayUnderway: unwritten,
})

// v1Whole are V1's replies to what is wrong with a request as a whole.
var v1Whole = map[int]row{
	http.StatusNotFound:              {status: http.StatusNotFound, code: invalid.code, text: invalid.text},
	http.StatusMethodNotAllowed:      {status: http.StatusMethodNotAllowed, code: invalid.code, text: invalid.text},
	http.StatusRequestEntityTooLarge: {status: http.StatusRequestEntityTooLarge, code: invalid.code, text: invalid.text},
	http.StatusUnsupportedMediaType:  {status: http.StatusInternalServerError, code: "999", text: "Invalid Request Type"},
}

var empty = append(slices.Clone(absence), contract.RuleMinLength)

// v1Order is V1's order of what is wrong with a body.
var v1Order = []step{
	{nil, []string{""}, invalid},
	{empty, []string{"/institutionCode"}, row{status: http.StatusBadRequest, code: "HDE050", text: "Institution code is mandatory"}},
	{empty, []string{"/deviceNumber"}, row{status: http.StatusBadRequest, code: "HDE051", text: "Device number is mandatory"}},
	{empty, []string{"/serviceCode"}, row{status: http.StatusBadRequest, code: "HDE052", text: "Service code is mandatory."}},
	{nil, []string{"/serviceCode"}, row{status: http.StatusBadRequest, code: "HDE053", text: "Error in fetching data from service_code_mst."}},
	{nil, []string{"/deviceNumber"}, row{status: http.StatusBadRequest, code: "HDE006", text: "Invalid Device Number"}},
	{nil, []string{"/requestDate"}, dateMalformed},
	{row: invalid},
}

// of is a row for times, with the field that is meant, its value, and what it is.
func (r row) of(field, value, is string) row {
	r.details = "Request timestamp of '" + field + "' field value '" + value + "' is " + is
	return r
}

// fault is the row of the part that failed, where err is our own failure and no answer.
func fault(part row, err error) error {
	if code := pin.CodeOf(err); code == pin.Internal || code == pin.Unavailable {
		return fmt.Errorf("%w: %w", part, err)
	}
	return err
}

// Render says how an error is answered: V1's paths have V1's shape and tables, all others V2's.
func (*API) Render(r *http.Request, _ *contract.Operation, err error) contract.Reply {
	if strings.HasPrefix(r.URL.Path, "/deviceapi/apis/v1/") {
		found := rowOf(err, v1, func(b contract.Broken) row { return brokenV1(r, b) })
		return contract.JSON(found.status, "application/json", creditplus.ErrorV1{Code: found.code, Reason: found.text})
	}
	found := rowOf(err, v2, func(b contract.Broken) row { return brokenV2(r, b) })
	return contract.JSON(found.status, "application/json", creditplus.Error{Code: found.code, Description: found.text, Details: sent(found.details)})
}

// rowOf is the error itself where it is a row, that of what is broken, or else the table's.
func rowOf(err error, table pin.ErrorTable[row], broken func(contract.Broken) row) row {
	if r, ok := errors.AsType[row](err); ok {
		return r
	}
	if b, ok := errors.AsType[contract.Broken](err); ok {
		return broken(b)
	}
	return table.Of(err)
}

func brokenV1(request *http.Request, b contract.Broken) row {
	if whole, ok := v1Whole[b.Status()]; ok {
		return whole
	}
	_, body := contract.Sent(request)
	return first(v1Order, b, body)
}

func brokenV2(request *http.Request, b contract.Broken) row {
	if whole, ok := v2Whole[b.Status()]; ok {
		return whole
	}
	if undecipherable(request, b) {
		return v2.Row(pin.Unopenable)
	}
	_, body := contract.Sent(request)
	return first(v2Order, b, body)
}

// sent leaves an empty text out of the reply.
func sent(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// undecipherable tells whether decryption, the step before the body, has failed: the envelope is none,
// there is none though there must be, or the header speaks of another algorithm.
func undecipherable(request *http.Request, b contract.Broken) bool {
	return request.Header.Get("Content-Type") == "application/jose" ||
		clearAllowed(pin.CallerFrom(request.Context())) != nil ||
		slices.ContainsFunc(b, func(v contract.Violation) bool {
			return v.In == contract.InHeader && v.Pointer == "Encryption-Algorithm"
		})
}

// first is the row of the first violation in an order, filled in.
func first(order []step, b contract.Broken, body any) row {
	for _, s := range order {
		if v, ok := s.find(b); ok {
			return s.row.fill(v, body)
		}
	}
	return row{} // the last step of an order finds any
}

func (s step) find(b contract.Broken) (contract.Violation, bool) {
	for _, field := range s.fields {
		for _, v := range b {
			if v.Pointer == field && (s.rules == nil || slices.Contains(s.rules, v.Rule)) {
				return v, true
			}
		}
	}
	if s.fields == nil {
		return b[0], true
	}
	return contract.Violation{}, false
}

// fill writes what the document says of the field, and what was sent, into the row's text.
func (r row) fill(v contract.Violation, body any) row {
	label := cmp.Or(v.Label, string(v.In)) // of what is no field: body, query, header
	words := []string{"{label}", label}
	if s := v.Schema; s != nil {
		missing, _ := s.Extensions["x-label-missing"].(string)
		words = append(words, "{missing}", cmp.Or(missing, label), "{min}", strconv.FormatUint(s.MinLength, 10))
		if s.MaxLength != nil {
			words = append(words, "{max}", strconv.FormatUint(*s.MaxLength, 10))
		}
		name := strings.TrimPrefix(v.Pointer, "/")
		members, _ := body.(map[string]any)
		value, _ := members[name].(string)
		if secret, _ := s.Extensions["x-sensitive"].(bool); secret {
			value = "****"
		}
		words = append(words, "{name}", name, "{value}", masked(value))
	}
	r.text = strings.NewReplacer(words...).Replace(r.text)
	return r
}

// shortestPAN is how many digits a quoted value may not have: identifiers of ten are common, PANs have
// twelve and more.
const shortestPAN = 12

// masked hides the digits of a value that could hold a PAN, whatever stands between them.
func masked(value string) string {
	digits := 0
	hidden := strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return c
		}
		digits++
		return '*'
	}, value)
	if digits < shortestPAN {
		return value
	}
	return hidden
}
