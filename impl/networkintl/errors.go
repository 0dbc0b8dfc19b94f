package networkintl

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oapi-codegen/nullable"

	"pinvault/generated/networkintl"
	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// row is one line of the error table. A description that ends in a blank is followed by a field.
type row struct {
	status            int
	code, description string
}

var (
	success   = row{http.StatusOK, "000", "Success"}
	cardIssue = row{http.StatusOK, "889", "Card/PIN Issue"} // one answer, nothing to enumerate
	rejected  = row{http.StatusOK, "105", "New PIN rejected by policy"}
	duplicate = row{http.StatusConflict, "106", "Duplicate msg_id"}
	fault     = row{http.StatusInternalServerError, "999", "System error"}

	missing = row{http.StatusBadRequest, "101", "Mandatory field missing: "}
	length  = row{http.StatusBadRequest, "102", "Invalid field length: "}
	format  = row{http.StatusBadRequest, "103", "Invalid field format: "}
	value   = row{http.StatusBadRequest, "104", "Invalid field value: "}
)

// rows is the contract's error table.
var rows = pin.MustErrorTable(map[pin.Code]row{
	pin.Internal:       fault,
	pin.Unavailable:    {http.StatusServiceUnavailable, fault.code, fault.description},
	pin.Duplicate:      fault,
	pin.RetrievalOff:   fault,
	pin.Unauthorized:   {http.StatusUnauthorized, "401", "Unauthorized"},
	pin.Forbidden:      {http.StatusForbidden, "403", "Forbidden"},
	pin.ApprovalNeeded: {http.StatusForbidden, "403", "Forbidden"},
	pin.NotFound:       cardIssue,
	pin.Ambiguous:      cardIssue,
	pin.CardStatus:     cardIssue,
	pin.NoPIN:          cardIssue,
	pin.WrongPIN:       cardIssue,
	pin.Blocked:        cardIssue,
	pin.Unopenable:     cardIssue,
	pin.Conflict:       cardIssue,
	pin.InvalidPIN:     rejected,
	pin.PINLength:      rejected,
	pin.WeakPIN:        rejected,
	pin.RecentPIN:      rejected,
	pin.ReplayOther:    duplicate,
	pin.ReplayChanged:  duplicate,
	pin.ReplayUnderway: duplicate,
	pin.TooMany:        {http.StatusTooManyRequests, "429", titles[http.StatusTooManyRequests]},
	pin.Halted:         {http.StatusServiceUnavailable, fault.code, "PIN verifications are halted"},
	pin.InvalidField:   {format.status, format.code, format.description + "body"},
	pin.UnfitBlock:     fault, // the sizes are held against the key before
	pin.UnknownKey:     {value.status, value.code, value.description + "encryption_key_id"},
})

// byRule are the rows of broken rules. Those that are not named are about the form.
var byRule = map[contract.Rule]row{
	contract.RuleRequired:  missing,
	contract.RuleMinLength: length,
	contract.RuleMaxLength: length,
	contract.RuleEnum:      value,
}

// defaultApplication is the application_name of a client whose settings have none.
const defaultApplication = "NITIBCO"

// refusal is that of a change, with the time of the request that came first.
type refusal struct {
	error
	at time.Time
}

func (e refusal) Unwrap() error { return e.error }

// Render says how an error is answered.
func (a *API) Render(r *http.Request, _ *contract.Operation, err error) contract.Reply {
	at := a.clock()
	if first, ok := errors.AsType[refusal](err); ok {
		at = first.at
	}
	known, ok := r.Context().Value(checkedKey{}).(checked)
	if !ok { // the check has not run, or found nobody
		known.tenant, _ = a.tenant(r.Context()) // the zero tenant has the contract's defaults
	}
	broken, isBroken := errors.AsType[contract.Broken](err)
	answered := rows.Of(err)
	if isBroken {
		answered = rowOf(broken, r)
	}
	return contract.JSON(answered.status, "application/json", a.reply(r, known.tenant, broken, answered, at))
}

// rowOf is that of the violations: what has a status of its own, and else the lowest code; of one code the
// first in the document's order.
func rowOf(broken contract.Broken, r *http.Request) row {
	if status := broken.Status(); status != http.StatusBadRequest {
		return row{status, strconv.Itoa(status), titles[status]}
	}
	found := make([]row, len(broken))
	for i, v := range broken {
		found[i] = rule(v, r)
		found[i].description += cmp.Or(v.Label, string(v.In))
	}
	return slices.MinFunc(found, func(a, b row) int { return strings.Compare(a.code, b.code) })
}

// rule is the row of one violation. A mandatory field that is empty or null counts as absent; an optional one
// never comes here.
func rule(v contract.Violation, r *http.Request) row {
	empty := v.Rule == contract.RuleNull || v.Rule == contract.RuleMinLength && sent(r, v.Pointer) == ""
	if v.In == contract.InBody && v.Pointer != "" && empty {
		return missing
	}
	if v.Rule == contract.RuleRequired && v.Pointer == "" { // no body at all
		return format
	}
	return cmp.Or(byRule[v.Rule], format)
}

// sent is what the request's body has at a JSON pointer to a member of objects, nil where nothing is.
func sent(r *http.Request, pointer string) any {
	_, at := contract.Sent(r)
	for _, name := range strings.Split(pointer, "/")[1:] {
		object, _ := at.(map[string]any)
		at = object[name]
	}
	return at
}

// titles are the descriptions of statuses that the contract has no code for.
var titles = map[int]string{
	http.StatusNotFound:              "Not Found",
	http.StatusMethodNotAllowed:      "Method Not Allowed",
	http.StatusRequestEntityTooLarge: "Content Too Large",
	http.StatusUnsupportedMediaType:  "Unsupported Media Type",
	http.StatusTooManyRequests:       "Too Many Requests",
}

// stampForm is ISO 8601 with milliseconds and offset.
const stampForm = "2006-01-02T15:04:05.000-07:00"

// reply is the envelope of a row. broken says which fields of the header are not to be echoed.
func (a *API) reply(request *http.Request, t tenant, broken contract.Broken, r row, at time.Time) networkintl.CardPinChangeResponse {
	stamp := at.In(t.zone()).Format(stampForm)
	h := echo(request, broken)
	h.MsgFunction, h.Timestamp = networkintl.ResponseHeaderMsgFunctionREPCARDPINCHANGE, stamp
	details := networkintl.ExceptionDetails{
		ApplicationName: cmp.Or(t.settings.ApplicationName, defaultApplication), DateTime: stamp, Status: networkintl.ExceptionDetailsStatusF,
		ErrorCode: r.code, ErrorDescription: r.description, TransactionRefID: nullable.NewNullNullable[string](),
	}
	if r == success {
		details.Status = networkintl.ExceptionDetailsStatusS
	}
	if h.TrackingID != nil && *h.TrackingID != "" {
		details.TransactionRefID.Set(*h.TrackingID)
	}
	return networkintl.CardPinChangeResponse{NISrvResponse: networkintl.ServiceResponse{
		ResponseCardPinChange: networkintl.ChangeResponse{Header: h, ExceptionDetails: details},
	}}
}

const (
	headerPointer = "/NISrvRequest/request_card_pin_change/header"
	bodyPointer   = "/NISrvRequest/request_card_pin_change/body"
)

// echo is the request's header, as far as its fields are well-formed; those that are not, and those that
// are mandatory and absent, are empty strings. So are all of them where there is no header to be read.
func echo(r *http.Request, broken contract.Broken) networkintl.ResponseHeader {
	header, readable := sent(r, headerPointer).(map[string]any)
	text := func(name string) string {
		s, _ := header[name].(string)
		if slices.ContainsFunc(broken, func(v contract.Violation) bool {
			return v.Pointer == headerPointer+"/"+name && v.Rule != contract.RuleEnum
		}) {
			return ""
		}
		return s
	}
	h := networkintl.ResponseHeader{MsgID: text("msg_id"), MsgType: text("msg_type"), SrcApplication: text("src_application"),
		TargetApplication: text("target_application"), BankID: text("bank_id")}
	if header["tracking_id"] != nil || !readable {
		tracking := text("tracking_id")
		h.TrackingID = &tracking
	}
	switch instance, given := header["instance_id"]; {
	case given && instance == nil:
		h.InstanceID.SetNull()
	case given || !readable:
		h.InstanceID.Set(text("instance_id"))
	}
	return h
}
