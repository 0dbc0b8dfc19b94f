package contract

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// The parts that a reply has besides its headers, media type and body.
const (
	InStatus  In = "status"
	InMessage In = "message" // what is inside a sealed body
)

// RuleStatus is the one rule that only replies break: the document does not describe the status.
const RuleStatus Rule = "status"

// reply is a response as the document describes it.
type reply struct {
	headers []parameter
	media   map[string]*mediaType // by lower-case name; empty where there is no body
	types   string                // the names, for Violation.Limit
}

func newReply(known shapes, spec *openapi3.Response) *reply {
	r := &reply{media: known.media(spec.Content), types: strings.Join(slices.Sorted(maps.Keys(spec.Content)), ", ")}
	for _, name := range slices.Sorted(maps.Keys(spec.Headers)) {
		// A header of a reply is described as a parameter is, except for its name and place (OpenAPI 3.0.3, Header Object).
		described := spec.Headers[name].Value.Parameter
		described.Name, described.In = name, openapi3.ParameterInHeader
		r.headers = append(r.headers, newParameter(known, &openapi3.ParameterRef{Value: &described}))
	}
	return r
}

// Reply is what is, or was, answered to a request.
type Reply struct {
	Status  int
	Header  http.Header
	Body    []byte
	Message []byte // what is inside a sealed body, see [Inside]; nil when nobody told
}

// JSON is a reply with a JSON body. It is the zero Reply where the body cannot be written as JSON.
func JSON(status int, contentType string, body any) Reply {
	data, err := json.Marshal(body)
	if err != nil {
		return Reply{}
	}
	return Reply{Status: status, Header: http.Header{"Content-Type": {contentType}}, Body: data}
}

// With is the reply with one more header, unless its value is "". The name is in canonical form.
func (r Reply) With(header, value string) Reply {
	if value != "" {
		all := http.Header{header: {value}}
		maps.Copy(all, r.Header)
		r.Header = all
	}
	return r
}

// Send writes the reply. Headers that are set already stay, except for those of the reply's own.
func (r Reply) Send(w http.ResponseWriter) error {
	maps.Copy(w.Header(), r.Header)
	w.WriteHeader(r.Status)
	_, err := w.Write(r.Body)
	return err
}

// CheckReply holds a reply of the operation against the document. Nil means that it keeps the contract.
func (op *Operation) CheckReply(r Reply) []Violation {
	described := op.replies[strconv.Itoa(r.Status)]
	if described == nil {
		described = op.replies["default"]
	}
	if described == nil {
		return []Violation{{In: InStatus, Rule: RuleStatus, Limit: strings.Join(slices.Sorted(maps.Keys(op.replies)), ", ")}}
	}
	return op.document.checkReply(described, r)
}

// CheckUnrouted holds a reply where no operation is, to an unknown path or method, against the
// document's x-error-response. A document without one leaves such replies open.
func (d *Document) CheckUnrouted(r Reply) []Violation {
	if d.unrouted == nil {
		return nil
	}
	return d.checkReply(d.unrouted, r)
}

func (d *Document) checkReply(spec *reply, r Reply) []Violation {
	found := checkAll(spec.headers, &openapi3filter.RequestValidationInput{Request: &http.Request{Header: r.Header}, Options: d.replies})
	if len(spec.media) == 0 {
		if len(r.Body) > 0 {
			found = append(found, Violation{In: InBody, Rule: RuleAdditionalBody})
		}
		return found
	}
	media := described(spec.media, r.Header)
	if media == nil {
		return append(found, Violation{In: InMediaType, Rule: RuleMediaType, Limit: spec.types})
	}
	body, readable := uncoded(r)
	if !readable {
		return append(found, Violation{In: InBody, Rule: RuleCharacters})
	}
	found = append(found, d.checkAnswer(InBody, media.kind, media.shape, body)...)
	if message := d.messages[media.message]; message != nil && r.Message != nil {
		found = append(found, d.checkAnswer(InMessage, jsonMedia, message, r.Message)...)
	}
	return found
}

// checkAnswer is as strict as the check of a request's body.
func (d *Document) checkAnswer(in In, kind mediaKind, root *shape, data []byte) []Violation {
	var value any = string(data)
	rule := Rule("")
	if kind == jsonMedia {
		value, rule = bounded(data, math.MaxInt)
	} else if !legible(string(data)) {
		rule = RuleCharacters
	}
	switch {
	case rule != "":
		return []Violation{{In: in, Rule: rule}}
	case root == nil:
		return nil
	}
	return check(d.replies, in, root, xLabel(root.schema.Extensions), value)
}

// Listener hears what is inside of sealed messages: from outside nobody can look. A request's message is cleared once it
// was used.
type Listener interface {
	NoteOpened(request []byte)
	NoteInside(reply []byte)
}

type listenerKey struct{}

// heard is a listener, and who listened before it.
type heard struct {
	Listener
	before *heard
}

// Listen makes a context in which [Opened] and [Inside] tell l, and whoever listened before.
func Listen(ctx context.Context, l Listener) context.Context {
	before, _ := ctx.Value(listenerKey{}).(*heard)
	return context.WithValue(ctx, listenerKey{}, &heard{l, before})
}

// Opened tells whoever listens what was inside of a sealed request, once it is known to be a message. Where nobody
// listens, nothing happens.
func Opened(ctx context.Context, message []byte) {
	for l, _ := ctx.Value(listenerKey{}).(*heard); l != nil; l = l.before {
		l.NoteOpened(message)
	}
}

// Inside tells whoever listens what is inside of a sealed reply.
func Inside(ctx context.Context, message []byte) {
	for l, _ := ctx.Value(listenerKey{}).(*heard); l != nil; l = l.before {
		l.NoteInside(message)
	}
}
