// Package jose says what of a JOSE object everybody reads in the same way. It knows nothing but bytes; its rules come from
// RFC 7515 and RFC 7516.
package jose

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// PlainHeader tells whether the header of an object in compact serialization is read in one way by everybody: no parameter
// twice (RFC 7515, 4), and none in capitals, which some readers take for the same in small letters. What it must not demand
// besides ("crit") is for its readers to say.
func PlainHeader(compact []byte) bool {
	encoded, _, _ := bytes.Cut(compact, []byte{'.'})
	header, err := base64.RawURLEncoding.Strict().DecodeString(string(encoded))
	if err != nil {
		return false
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(header))
	for {
		token, err := d.ReadToken()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		kind, n := d.StackIndex(d.StackDepth())
		if kind == '{' && n%2 == 1 && token.Kind() == '"' && token.String() != strings.ToLower(token.String()) {
			return false
		}
	}
}
