package creditplus

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"pinvault/generated/creditplus"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// Codes of this contract's own, beside those of [pin.Code].
const (
	expired          pin.Code = "creditplus_expired"           // V2: past dataValidUntilTimestamp
	aliasOff         pin.Code = "creditplus_alias_off"         // V2: the program lacks the alias capability
	dateMalformed    pin.Code = "creditplus_date_malformed"    // V1: no date
	dateLater        pin.Code = "creditplus_date_later"        // V1: later than the institution's time
	otherInstitution pin.Code = "creditplus_other_institution" // V1: the device is another institution's
	planMissing      pin.Code = "creditplus_plan_missing"      // V1: the device has no device plan
	planUnread       pin.Code = "creditplus_plan_unread"       // V1: the program's settings cannot be read
	deviceUnread     pin.Code = "creditplus_device_unread"     // V1: the device cannot be read
)

// row is one line of an error table: the status, the code, and its text. In the text stand, of the
// field that is wrong, {label}, {missing} (its label where it is missing), {min}, {max}, {name} and
// {value}.
type row struct {
	status     int
	code, text string
}

// v2 is V2's error table, for what the vault and the handler report.
var v2 = map[pin.Code]row{
	pin.Internal:     {http.StatusInternalServerError, "INTERNAL_ERROR", "The server could not process the request."},
	pin.Unavailable:  {http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", "The service is not available at the moment."},
	pin.Unauthorized: {http.StatusForbidden, "AUTHORIZATION_ERROR", "User is not authorized to access requested resource."},
	pin.Forbidden:    {http.StatusForbidden, "AUTHORIZATION_ERROR", "User is not authorized to access requested resource."},
	pin.Unopenable:   {http.StatusBadRequest, "CRYPTOGRAPHY_ERROR", "Error occurred while decryption of the encrypted request payload."},
	expired:          {http.StatusBadRequest, "TIMESTAMP_ERROR", "Request timestamp is in past."},
	aliasOff:         {http.StatusInternalServerError, "ALIAS_CAPABILITY_NOT_ENABLED", "Alias capability not enabled."},
	pin.NotFound:     {http.StatusBadRequest, "RECORD_NOT_FOUND", "Record not found for given search criteria."},
	pin.Ambiguous:    {http.StatusBadRequest, "UNIQUE_RECORD_NOT_FOUND", "Multiple records found for given search criteria."},
	pin.CardStatus:   {http.StatusBadRequest, "DEVICE_STATUS_NOT_SUPPORTED", "Device, Operation not permitted"},
}

// v2Whole are V2's replies to what is wrong with a request as a whole.
var v2Whole = map[int]row{
	http.StatusNotFound:              {http.StatusNotFound, "NOT_FOUND", "There is no operation at this path."},
	http.StatusMethodNotAllowed:      {http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "The method is not allowed."},
	http.StatusRequestEntityTooLarge: {http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE", "The body is too large."},
	http.StatusUnsupportedMediaType:  {http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/jose or application/json, not encoded."},
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
		row{http.StatusBadRequest, "ERR_CODE_MISSING_REQUIRED_FIELD", "Missing Required Field identifier or packID or alias or number."}},
	{absence, []string{"/timestamp", "/dataValidUntilTimestamp"},
		row{http.StatusBadRequest, "MISSING_REQUIRED_FIELD", "Missing Required Field '{missing}'."}},
	{length, []string{"/packID", "/identifier", "/programCode", "/devicePlanCode", "/alias", "/notes", "/number"},
		row{http.StatusBadRequest, "INVALID_FIELD_LENGTH", "{label} size must be between {min} and {max}."}},
	{nil, []string{"/source"}, malformed},
	{charset, []string{"/identifier", "/packID", "/alias", "/number", "/programCode", "/devicePlanCode"},
		row{http.StatusBadRequest, "INVALID_FIELD_VALUE", "'{name}' field value '{value}' is invalid."}},
	{nil, []string{"/timestamp", "/dataValidUntilTimestamp"}, malformed},
	{row: malformed},
}

var malformed = row{http.StatusBadRequest, "INVALID_FIELD_FORMAT", "Incorrect value for field {label}."}

// v1 is V1's error table, for what the vault and the handler report.
var v1 = map[pin.Code]row{
	pin.Internal:     {http.StatusInternalServerError, "RP107", "Error while executing Retry pin reset counter through AP"},
	pin.Unavailable:  {http.StatusInternalServerError, "RP107", "Error while executing Retry pin reset counter through AP"},
	pin.Unauthorized: {http.StatusForbidden, "900", "Invalid User"},
	pin.Forbidden:    {http.StatusForbidden, "900", "Invalid User"},
	pin.Unopenable:   invalid,
	dateMalformed:    malformedDate,
	dateLater:        {http.StatusBadRequest, "997", "Request Date should be less than or equal to institution date."},
	planUnread:       {http.StatusInternalServerError, "RP103", "Error while retrieving data from device plan"},
	deviceUnread:     {http.StatusInternalServerError, "RP101", "DEVICE_ERROR"},
	pin.NotFound:     {http.StatusNotFound, "998", "Device(s) does not exist"},
	pin.Ambiguous:    {http.StatusNotFound, "998", "Device(s) does not exist"},
	otherInstitution: {http.StatusNotFound, "998", "NO_DEVICE_ERROR"},
	planMissing:      {http.StatusBadRequest, "RP102", "Invalid Device Plan."},
	pin.CardStatus:   {http.StatusBadRequest, "HDE100", "Device is not in normal state"},
}

// v1Whole are V1's replies to what is wrong with a request as a whole.
var v1Whole = map[int]row{
	http.StatusNotFound:              {http.StatusNotFound, invalid.code, invalid.text},
	http.StatusMethodNotAllowed:      {http.StatusMethodNotAllowed, invalid.code, invalid.text},
	http.StatusRequestEntityTooLarge: {http.StatusRequestEntityTooLarge, invalid.code, invalid.text},
	http.StatusUnsupportedMediaType:  {http.StatusInternalServerError, "999", "Invalid Request Type"},
}

var (
	invalid       = row{http.StatusBadRequest, "997", "Reset Pin Retry Counter failed: invalid request"}
	malformedDate = row{http.StatusBadRequest, "997", "Request Date field must be in MM/dd/yyyy HH:mm:ss format."}
	empty         = append(slices.Clone(absence), contract.RuleMinLength)
)

// v1Order is V1's order of what is wrong with a body.
var v1Order = []step{
	{nil, []string{""}, invalid},
	{empty, []string{"/institutionCode"}, row{http.StatusBadRequest, "HDE050", "Institution code is mandatory."}},
	{empty, []string{"/deviceNumber"}, row{http.StatusBadRequest, "HDE051", "Device number is mandatory."}},
	{empty, []string{"/serviceCode"}, row{http.StatusBadRequest, "HDE052", "Service code is mandatory."}},
	{nil, []string{"/serviceCode"}, row{http.StatusBadRequest, "HDE053", "Error in fetching data from service_code_mst."}},
	{nil, []string{"/deviceNumber"}, row{http.StatusBadRequest, "HDE006", "Invalid Device Number"}},
	{nil, []string{"/requestDate"}, malformedDate},
	{row: invalid},
}

// opened is an encrypted message that breaks its schema, and the message, of which an error may quote a
// field.
type opened struct {
	contract.Broken
	message any
}

func (e opened) Unwrap() error { return e.Broken }

// expiredError is a request past its time, which the reply quotes. Its text does not.
type expiredError struct{ until string }

func (expiredError) Error() string { return string(expired) }

func (expiredError) Unwrap() error { return &pin.Error{Code: expired} }

// fault names the part that failed, where err is a failure of ours and no answer.
func fault(part pin.Code, err error) error {
	if code := pin.CodeOf(err); code == pin.Internal || code == pin.Unavailable {
		return &pin.Error{Code: part, Err: err}
	}
	return err
}

// Fail is where every error of this contract goes out, wherever it was found: V1's paths have V1's
// shape and tables, all others V2's.
func (*API) Fail(c *gin.Context, err error) {
	if _, broken := errors.AsType[contract.Broken](err); !broken {
		_ = c.Error(err)
	}
	c.Header("Content-Type", "application/json")
	if strings.HasPrefix(c.Request.URL.Path, "/deviceapi/apis/v1/") {
		r := rowV1(c.Request, err)
		c.AbortWithStatusJSON(r.status, creditplus.ErrorV1{Code: r.code, Reason: r.text})
		return
	}
	r := rowV2(c.Request, err)
	c.AbortWithStatusJSON(r.status, creditplus.Error{Code: r.code, Description: r.text, Details: details(err)})
}

func rowV1(request *http.Request, err error) row {
	broken, ok := errors.AsType[contract.Broken](err)
	if !ok {
		return cmp.Or(v1[pin.CodeOf(err)], v1[pin.Internal])
	}
	if whole, ok := v1Whole[broken.Status()]; ok {
		return whole
	}
	_, body := contract.Sent(request)
	return first(v1Order, broken, body)
}

func rowV2(request *http.Request, err error) row {
	if inside, ok := errors.AsType[opened](err); ok {
		return first(v2Order, inside.Broken, inside.message)
	}
	broken, ok := errors.AsType[contract.Broken](err)
	if !ok {
		return cmp.Or(v2[pin.CodeOf(err)], v2[pin.Internal])
	}
	if whole, ok := v2Whole[broken.Status()]; ok {
		return whole
	}
	if undecipherable(request, broken) {
		return v2[pin.Unopenable]
	}
	_, body := contract.Sent(request)
	return first(v2Order, broken, body)
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

// details are those of TIMESTAMP_ERROR.
func details(err error) *string {
	late, ok := errors.AsType[expiredError](err)
	if !ok {
		return nil
	}
	text := "Request timestamp of 'dataValidUntilTimestamp' field value '" + late.until + "' is in past"
	return &text
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
