package accosa

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"pinvault/impl/contract"
)

// message is what a token said, as far as it keeps the contract: a field that does not is "". It prints
// as ****, for the PIN.
type message struct {
	clientTxnID   string
	last4Digits   string
	urn           string // digits, whether it came as a string or a number
	newPIN        string
	customerID    string
	mobileNumber  string // its digits
	emailAddress  string
	cardProfileID string

	content    []byte // all of it: what a repeated call must repeat
	violations []contract.Violation
}

// read takes a checked message apart. What the document cannot say of one field is said here: that the date is real and
// one that may be sent now, and which fields name a card.
func read(object map[string]any, violations []contract.Violation, fresh func(requestDateTime string) bool) message {
	broken := map[string]bool{}
	for _, v := range violations {
		broken[v.Pointer] = true
	}
	sent := func(name string) bool { return object[name] != nil || broken["/"+name] }
	text := func(name string) string {
		if broken["/"+name] {
			return ""
		}
		switch value := object[name].(type) {
		case string:
			return value
		case json.Number:
			return value.String()
		}
		return ""
	}
	also := func(name string, rule contract.Rule) {
		violations = append(violations, contract.Violation{In: contract.InBody, Pointer: "/" + name, Rule: rule, Label: name})
	}
	if at := text("requestDateTime"); at != "" && !fresh(at) {
		also("requestDateTime", contract.RuleFormat)
	}
	if sent("urn") && !sent("last4Digits") {
		also("last4Digits", contract.RuleRequired)
	}
	if !sent("urn") && !sent("customerId") && !sent("mobileNumber") {
		also("urn", contract.RuleRequired)
	}
	content, _ := json.Marshal(object) // of a value that was read from JSON
	return message{
		clientTxnID: text("clientTxnId"), last4Digits: text("last4Digits"), urn: text("urn"), newPIN: text("newPIN"),
		customerID: text("customerId"), mobileNumber: strings.TrimPrefix(text("mobileNumber"), "+"),
		emailAddress: text("emailAddress"), cardProfileID: text("cardProfileId"),
		content: content, violations: violations,
	}
}

// near tells whether a time of a zone is within a window around now, each way; a window of 0 has no ends. Where clocks are
// changed meanwhile a time may be meant as before or as after.
func near(text string, now time.Time, zone *time.Location, window time.Duration) bool {
	now = now.Truncate(time.Second)
	for _, end := range []time.Time{now.Add(-window), now.Add(window)} {
		_, offset := end.In(zone).Zone()
		at, err := time.ParseInLocation(wholeSecond, text, time.FixedZone("", offset))
		if err == nil && (window == 0 || at.Sub(now).Abs() <= window) {
			return true
		}
	}
	return false
}

// fault is the row of the first field that breaks the contract, in the order of the table [fields], or
// nil.
func (m message) fault() error {
	for _, f := range fields {
		for _, v := range m.violations {
			if v.Pointer == "/"+f.name {
				return f.row(v)
			}
		}
	}
	if len(m.violations) > 0 { // of no field that the contract has a row for
		return invalid(m.violations[0].Label)
	}
	return nil
}

// number64 is the number that digits are, nil for none.
func number64(digits string) *int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

const redacted = "****"

// Format prints **** for every verb.
func (message) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue prints ****.
func (message) LogValue() slog.Value { return slog.StringValue(redacted) }
