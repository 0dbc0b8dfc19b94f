package contract

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// DefaultMaxBody is the longest body that is read where neither the operation's x-max-body nor [MaxBody]
// says anything else, in bytes.
const DefaultMaxBody = 64 << 10

// Document is one contract, ready to check requests against. It does not change after Load and may
// be used by many goroutines at once.
type Document struct {
	name       string
	spec       *openapi3.T
	options    *openapi3filter.Options
	maxBody    int64
	operations []*Operation
	routes     map[string]map[string]*Operation // method, then gin's path
	messages   map[string]*shape                // component schemas by name
	replies    *openapi3filter.Options          // as options, for replies
	unrouted   *reply                           // x-error-response; nil where the document has none
	whole      func() (*Document, error)        // with what is for readers; nil where this one has it
}

// Option changes how a document is used.
type Option func(*Document)

// MaxBody limits the length of a request body, in bytes, for operations without x-max-body.
func MaxBody(bytes int64) Option { return func(d *Document) { d.maxBody = bytes } }

// Load reads <name>.yaml and what it refers to from fsys, and from nowhere else.
//
// A document that is not valid OpenAPI 3.0, or that breaks one of our own rules, is refused; the
// error is a list with a line for each finding, with file and line, for whoever mends the document.
// Our own rules are those of which a breach would show only when a partner runs into it: see rules.go.
func Load(fsys fs.FS, name string, options ...Option) (*Document, error) {
	spec, err := open(fsys, name+".yaml", true)
	if err != nil {
		return nil, fmt.Errorf("contract %s: %w", name, err)
	}
	if findings := inspect(spec); len(findings) > 0 {
		return nil, fmt.Errorf("contract %s is refused; findings: %d\n  %s", name, len(findings), strings.Join(findings, "\n  "))
	}
	return newDocument(name, spec, options), nil
}

func newDocument(name string, spec *openapi3.T, options []Option) *Document {
	d := &Document{
		name:     name,
		spec:     spec,
		maxBody:  DefaultMaxBody,
		routes:   map[string]map[string]*Operation{},
		messages: map[string]*shape{},
		options:  filter(openapi3.VisitAsRequest()),
		replies:  filter(openapi3.VisitAsResponse()),
	}
	for _, option := range options {
		option(d)
	}
	d.compile()
	return d
}

// filter are the options of all checks, of requests or of replies.
func filter(as openapi3.SchemaValidationOption) *openapi3filter.Options {
	return &openapi3filter.Options{
		SkipSettingDefaults: true, // defaults would rewrite the request
		SchemaValidationOptions: []openapi3.SchemaValidationOption{
			as,
			openapi3.MultiErrors(),
			openapi3.DisableSchemaErrorDetails(), // no text of its errors is used; should one be, no value is in it
			Formats(),
		},
	}
}

// Names are those of the documents in fsys: of each <name>.yaml, except for the settings of code generators,
// <name>.cfg.yaml, and what no request is held against: webhooks alone, of OpenAPI 3.1. Sorted.
func Names(fsys fs.FS) ([]string, error) {
	files, err := fs.Glob(fsys, "*.yaml")
	var names []string
	for _, file := range files {
		name := strings.TrimSuffix(file, ".yaml")
		if strings.HasSuffix(name, ".cfg") {
			continue
		}
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(text, []byte("openapi: 3.1")) {
			names = append(names, name)
		}
	}
	return names, err
}

// open loads a document with its references. Of YAML the position of every element is kept if it is asked for: the order of
// violations and our findings are told from it.
func open(fsys fs.FS, file string, positions bool) (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	loader.IncludeOrigin = positions
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, location *url.URL) ([]byte, error) {
		// An fs.FS takes no absolute path and none that climbs out of it.
		if location.Scheme != "" || location.Host != "" {
			return nil, fmt.Errorf("reference to %s: only files beside the document may be referred to", location)
		}
		return fs.ReadFile(fsys, path.Clean(location.Path))
	}
	return loader.LoadFromURI(&url.URL{Path: file})
}

func (d *Document) compile() {
	known := shapes{}
	if d.spec.Components != nil {
		for name, ref := range d.spec.Components.Schemas {
			d.messages[name] = known.of(ref.Value)
		}
	}
	for _, listed := range operations(d.spec) {
		op := newOperation(d, known, listed)
		d.operations = append(d.operations, op)
		if d.routes[op.Method] == nil {
			d.routes[op.Method] = map[string]*Operation{}
		}
		d.routes[op.Method][op.GinPath] = op
	}
	if spec := errorResponse(d.spec); spec != nil {
		d.unrouted = newReply(known, spec)
	}
}

// errorResponse is the component response that x-error-response names, nil where it names none.
func errorResponse(spec *openapi3.T) *openapi3.Response {
	if spec.Components == nil {
		return nil
	}
	name, _ := spec.Extensions["x-error-response"].(string)
	if ref := spec.Components.Responses[name]; ref != nil {
		return ref.Value
	}
	return nil
}

// listed is an operation where the document lists it.
type listed struct {
	path   string
	item   *openapi3.PathItem
	method string
	spec   *openapi3.Operation
}

// operations lists all operations in the document's order.
func operations(spec *openapi3.T) []listed {
	var all []listed
	for _, path := range slices.Sorted(maps.Keys(spec.Paths.Map())) {
		item := spec.Paths.Value(path)
		methods := item.Operations()
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			all = append(all, listed{path: path, item: item, method: method, spec: methods[method]})
		}
	}
	byOrder := inOrderOf(spec.Paths.Extensions)
	slices.SortStableFunc(all, func(a, b listed) int {
		return cmp.Or(byOrder(a.spec.OperationID, b.spec.OperationID), byOrigin(a.item.Origin, b.item.Origin), byOrigin(a.spec.Origin, b.spec.Origin))
	})
	return all
}

// Name is the name that the document was loaded by, such as "thredd".
func (d *Document) Name() string { return d.name }

// Spec is the document itself. It is shared: read only.
func (d *Document) Spec() *openapi3.T { return d.spec }

// Operations are all operations, in the document's order.
func (d *Document) Operations() []*Operation { return slices.Clone(d.operations) }

// Operation finds an operation by method and gin's full path, such as "POST" and
// "/api/v1/cards/:publicToken/pin". It is nil when the document has none there.
func (d *Document) Operation(method, ginFullPath string) *Operation {
	return d.routes[method][ginFullPath]
}

// CheckMessage decodes a JSON message that came out of an encrypted envelope and checks it against
// the component schema that the document describes it by (x-decrypted-schema).
//
// The value is that of [Strict] without what counts as not sent, for runtime.BindJSONValue; it is there
// also when the schema is broken, for partners who document that they echo a field, and nil when the
// message is not acceptable JSON. A schema that the document does not have admits nothing.
//
// A message that [Strict] refuses is read as far as it is described, see [shape.described].
func (d *Document) CheckMessage(schemaName string, data []byte) (any, []Violation) {
	root, ok := d.messages[schemaName]
	if !ok {
		return nil, []Violation{{In: InBody, Rule: RuleOperation}}
	}
	_, valid, violations := d.checkJSON(root, data)
	return valid, violations
}

// checkJSON checks a message. value is as it was sent, valid is without what counts as not sent: only that
// is held against the schema.
func (d *Document) checkJSON(root *shape, data []byte) (value, valid any, found []Violation) {
	value, rule := strict(data)
	var unread []Violation
	if rule != "" {
		if value, unread, rule = root.described(data, rule); rule != "" {
			return nil, nil, []Violation{{In: InBody, Rule: rule}}
		}
	}
	valid = root.sent(value)
	found = d.check(InBody, root, xLabel(root.schema.Extensions), valid)
	if len(unread) == 0 {
		return value, valid, found
	}
	found = slices.DeleteFunc(found, func(v Violation) bool { // of what stands in its place
		return slices.ContainsFunc(unread, func(u Violation) bool { return u.Pointer == v.Pointer })
	})
	return value, valid, root.inOrder(append(found, unread...))
}

// validate is the start-up check of kin-openapi, in which it also compiles every pattern (RE2) and
// keeps it for the requests. Examples are left out: those of the error rows break the schemas on purpose.
func validate(spec *openapi3.T) error {
	return spec.Validate(context.Background(), openapi3.EnableMultiError(), openapi3.DisableExamplesValidation())
}
