package networkintl_test

import (
	"cmp"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/pin"
)

// codes are the error codes of the ways in which a field can be wrong.
var codes = map[contracttest.Broken]string{
	contracttest.Absent: "101 Mandatory field missing", contracttest.Null: "101 Mandatory field missing", contracttest.Empty: "101 Mandatory field missing",
	contracttest.TooShort: "102 Invalid field length", contracttest.TooLong: "102 Invalid field length",
	contracttest.Type: "103 Invalid field format", contracttest.Pattern: "103 Invalid field format",
	contracttest.Enum: "104 Invalid field value",
}

func answerTo(f contracttest.Fault) string { return "400 F " + codes[f.Rule] + ": " + f.Label }

// Of two things that are wrong the one with the lowest code is answered, and of one code the one whose field comes first
// in the document, whether it takes the document, the program, the client or a key to tell.
func TestOfTwoFaultsTheLowestCodeIsAnsweredAndThenTheFirstField(t *testing.T) {
	t.Parallel()
	const header, body = "/NISrvRequest/request_card_pin_change/header/", "/NISrvRequest/request_card_pin_change/body/"
	n := newNetwork(t, "")
	own := func(f *contracttest.Faulty) []contracttest.Fault {
		return []contracttest.Fault{
			f.Fault(t, header+"timestamp", contracttest.Pattern, "30/02/2020 15:13:18"),
			f.Fault(t, header+"timestamp", contracttest.Pattern, "0000-02-01T15:13:18Z"),
			f.Fault(t, header+"bank_id", contracttest.Enum, "ABC"),
			f.Fault(t, body+"encrypted_old_pin", contracttest.TooShort, "B7F7DF54074528"),
			f.Fault(t, body+"encrypted_new_pin", contracttest.TooLong, strings.Repeat("A", 18)),
			f.Fault(t, body+"encryption_method", contracttest.Enum, "ASYMMETRIC_ENC"),
			f.Fault(t, body+"encryption_key_id", contracttest.Enum, "zpk-nobody"),
			f.Fault(t, body+"encryption_key_id", contracttest.Enum, "rsa-ni-sandbox"),
		}
	}
	for name, test := range map[string]struct {
		good  contracttest.Step
		cPlus bool
	}{
		"version 1":                 {contracttest.Step{Operation: "changeCardPinV1", Example: "changed"}, false},
		"version 1, a C+ program":   {contracttest.Step{Operation: "changeCardPinV1", Example: "changed"}, true},
		"version 2":                 {contracttest.Step{Operation: "changeCardPinV2", Example: "changed-by-exid"}, false},
		"version 2 in a C+ program": {contracttest.Step{Operation: "changeCardPinV2", Example: "changed-by-exid"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := contracttest.NewFaulty(t, apptest.Documents(t)["networkintl"], n.Env("networkintl"), test.good,
				map[string]any{header + "instance_id": "node-1", body + "encryption_key_type": "TDES"})
			faults := append(f.Faults(), own(f)...)
			if test.cPlus {
				n.program(t, func(p *pin.Program) {
					p.Settings = map[string]json.RawMessage{"networkintl": json.RawMessage(`{"cPlus":true}`)}
				})
				for rule, value := range map[contracttest.Broken]any{contracttest.Absent: nil, contracttest.Null: nil, contracttest.Empty: ""} {
					faults = append(faults, f.Fault(t, body+"card_sequence_number", rule, value))
				}
			}
			for _, fault := range faults {
				require.NotEmpty(t, codes[fault.Rule])
			}
			f.Pairs(t, faults, func(r *contracttest.Reply) string { return says(r) }, func(a, b contracttest.Told) string {
				for _, told := range []contracttest.Told{a, b} {
					require.Equal(t, answerTo(told.Fault), told.Answer, "%s alone", told)
				}
				if cmp.Or(cmp.Compare(codes[a.Rule], codes[b.Rule]), cmp.Compare(a.Place, b.Place)) <= 0 {
					return a.Answer
				}
				return b.Answer
			})
		})
	}
}
