package contract

import (
	"encoding/base64"
	"errors"
	"net/mail"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"pinvault/impl/timestamps"
)

// errFormat is all that a format check says: the reason ends up in texts that could be printed.
var errFormat = errors.New("not in this format")

// Formats has kin-openapi check the formats as a [Document] does.
func Formats() openapi3.SchemaValidationOption {
	return openapi3.WithStringFormatValidators(stringFormats())
}

// stringFormats are the formats that are checked. Each admits exactly what the generated type for it
// can be bound from (oapi-codegen's runtime), so that a value that keeps the contract never fails
// later. kin-openapi by itself lets 30 February pass as a date, and any text as a UUID or an address.
// They are handed to each check instead of being registered with kin-openapi, whose registry is global.
func stringFormats() map[string]openapi3.StringFormatValidator {
	accept := func(ok func(string) bool) openapi3.StringFormatValidator {
		return openapi3.NewCallbackValidator(func(s string) error {
			if ok(s) {
				return nil
			}
			return errFormat
		})
	}
	return map[string]openapi3.StringFormatValidator{
		"date": accept(func(s string) bool {
			_, err := time.Parse(time.DateOnly, s)
			return err == nil
		}),
		// As partners' clients write it, which is more than RFC 3339 has and time.Time reads: in requests it is bound as text.
		"date-time": accept(func(s string) bool { _, err := timestamps.Read(s); return err == nil }),
		"byte": accept(func(s string) bool {
			_, err := base64.StdEncoding.Strict().DecodeString(s)
			return err == nil && !strings.ContainsAny(s, "\r\n")
		}),
		"email": accept(func(s string) bool {
			address, err := mail.ParseAddress(s)
			return err == nil && address.Address == s
		}),
		"uuid": openapi3.NewRegexpFormatValidator(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`),
	}
}
