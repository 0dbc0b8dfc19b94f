package rows

import (
	"cmp"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"
)

// ErrorReference is a document's x-error-reference: where replies have their code and their text, and what a caller
// should do about an error.
type ErrorReference struct {
	Code   []string          `json:"code"`   // JSON pointers (RFC 6901) into a reply, the first that leads to something counts
	Text   []string          `json:"text"`   // the same
	Advice map[string]string `json:"advice"` // by an error's code, else by its status
}

// ErrorReferenceOf reads it, an empty one where the document has none.
func ErrorReferenceOf(doc *openapi3.T) (r ErrorReference, err error) {
	err = Extension(doc.Info.Extensions, "x-error-reference", &r)
	return r, err
}

// CodeOf is the code in a decoded reply, "" where it has none.
func (r ErrorReference) CodeOf(reply any) string { return textAt(reply, r.Code) }

// TextOf is the text in a decoded reply, "" where it has none.
func (r ErrorReference) TextOf(reply any) string { return textAt(reply, r.Text) }

// AdviceOn is what to do about an error, by its code or else its status. A row may have an Advice of its own.
func (r ErrorReference) AdviceOn(code string, status int) string {
	return cmp.Or(r.Advice[code], r.Advice[strconv.Itoa(status)])
}

// textAt is the first text or number that one of the JSON pointers leads to, "" where there is none.
func textAt(value any, pointers []string) string {
	for _, pointer := range pointers {
		switch found, _ := Lookup(value, pointer); found := found.(type) {
		case string:
			return found
		case float64:
			return strconv.FormatFloat(found, 'f', -1, 64)
		}
	}
	return ""
}
