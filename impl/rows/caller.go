package rows

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// ID is the row's in pages: "setCardPin.pin-set".
func (s Step) ID() string { return s.Operation + "." + s.Example }

// StepOf reads what [Step.String] writes: "setCardPin/pin-set".
func StepOf(text string) (s Step) {
	s.Operation, s.Example, _ = strings.Cut(text, "/")
	return s
}

// When says when the row comes out, in the words of its request, else of its reply.
func (c Row) When() string {
	return cmp.Or(c.Asked, c.Summary, strings.ReplaceAll(c.Example, "-", " "))
}

// Credentials are what the row's caller shows.
type Credentials struct {
	Key    string // header of an API key, "" for none
	Bearer bool   // a token
}

// Credentials are the first that the operation takes. A token that it takes beside an API key is sent where the row is
// about who the token is of.
func (c Row) Credentials() (k Credentials) {
	if c.Public && c.Authorization == "" || c.Of.Op.Security == nil {
		return k
	}
	for i, requirement := range *c.Of.Op.Security {
		for name := range requirement {
			scheme := c.Of.Doc.Components.SecuritySchemes[name].Value
			if scheme.Type == "apiKey" {
				k.Key = scheme.Name
			} else if scheme.Scheme != "basic" {
				k.Bearer = k.Bearer || i == 0 || c.Authorization != "" && c.Authorization != "none"
			}
		}
	}
	return k
}

// FixtureClient is the client of the fixtures by which a document's rows are asked for.
func FixtureClient(doc *openapi3.T) string {
	name, _ := doc.Extensions["x-fixture-client"].(string)
	return name
}

// TokenPath is the path of the endpoint that a document has tokens from, "" where it has none of its own.
func TokenPath(doc *openapi3.T) (path string) {
	if doc.Components == nil {
		return ""
	}
	for _, scheme := range doc.Components.SecuritySchemes {
		if flows := scheme.Value.Flows; flows != nil && flows.ClientCredentials != nil {
			path = flows.ClientCredentials.TokenURL
		}
	}
	return path
}

// ReplyHeader are the headers that the reply of the row has by its document: those of x-headers, and of those that it must
// have what the document shows. Allow, which no document shows, are the methods of the path.
func (c Row) ReplyHeader() http.Header {
	h := http.Header{}
	for name, ref := range c.described().Headers {
		if value, shown := shownHeader(ref.Value); shown {
			h.Set(name, value)
		} else if name == "Allow" {
			h.Set(name, strings.Join(c.methods(), ", "))
		}
	}
	for name, values := range c.Reply.Header {
		if h[name] = values; values == nil {
			delete(h, name)
		}
	}
	return h
}

// described is the response of the document whose example the row's reply is.
func (c Row) described() *openapi3.Response {
	if ref := c.Of.Op.Responses.Status(c.Reply.Status); ref != nil {
		return ref.Value
	}
	return &openapi3.Response{}
}

// shownHeader is the value that a document shows of a header that every reply has.
func shownHeader(header *openapi3.Header) (value string, shown bool) {
	if !header.Required {
		return "", false
	}
	example := header.Example
	if example == nil && header.Schema != nil && len(header.Schema.Value.Enum) == 1 {
		example = header.Schema.Value.Enum[0]
	}
	all, err := texts(example)
	return strings.Join(all, ", "), err == nil && all != nil
}

// methods are those of the operation's path, HEAD being answered where GET is.
func (c Row) methods() (all []string) {
	for _, method := range slices.Sorted(maps.Keys(c.Of.Doc.Paths.Value(c.Of.Path).Operations())) {
		if all = append(all, method); method == http.MethodGet {
			all = append(all, http.MethodHead)
		}
	}
	return all
}
