package accosa

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
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
	mobileNumber  string
	cardProfileID string

	content    []byte // all of it: what a repeated call must repeat
	violations []contract.Violation
}

// read takes a checked message apart. The date is the one rule that the document cannot say.
func read(object map[string]any, violations []contract.Violation) message {
	broken := map[string]bool{}
	for _, v := range violations {
		broken[v.Pointer] = true
	}
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
	if at := text("requestDateTime"); at != "" && !isTime(at) {
		violations = append(violations, contract.Violation{In: contract.InBody, Pointer: "/requestDateTime", Rule: contract.RuleValue, Label: "requestDateTime"})
	}
	content, _ := json.Marshal(object) // of a value that was read from JSON
	return message{
		clientTxnID: text("clientTxnId"), last4Digits: text("last4Digits"), urn: text("urn"), newPIN: text("newPIN"),
		customerID: text("customerId"), mobileNumber: text("mobileNumber"), cardProfileID: text("cardProfileId"),
		content: content, violations: violations,
	}
}

func isTime(text string) bool {
	_, err := time.Parse(wholeSecond, text)
	return err == nil
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
