package docs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
	"pinvault/impl/contract"
	"pinvault/impl/rows"
)

// A tool reads a row from a document as named examples of one name, in all parameters, the request body and the
// reply. The source says less of a request and more: what a row shares with others stands there once, as "default" or
// in a plain example, and what no example can say stands in x-request. So in the documents for tools
//
//   - each row that examples can say has one under its name in each parameter that it sends and in the body;
//   - each other has its reply's example alone: x-unsent of the operation says what it needs besides, and what the
//     source has of its request is kept in x-examples;
//   - a row whose request breaks the contract on purpose is one of those, since a linter would take it for a mistake;
//   - in the variant of the document that is for tools which send examples, it is not, and what no example can say is
//     asked of a sandbox: a plain request, with the header that has the row come out;
//   - a parameter that no row of a success sends begins with its own example, as "default": tools that send one call of
//     an operation send the first. Where there is a body they would look for one of that name.

// broken says of a row that its request breaks the contract on purpose.
const broken = "breaks this contract on purpose: see the variant with all examples"

// tolerated says of a row that its request breaks the contract as documents can say it, and the reply does not say so.
const tolerated = "a request that this document's schemas do not admit, with a reply to one that they do"

// ofBroken are the statuses of requests that break a contract. Under others tools take such examples for mistakes.
var ofBroken = []int{http.StatusBadRequest, http.StatusUnprocessableEntity}

const credentials = "other credentials than the client's, or none" //nolint:gosec // words

// forTools is a document whose named examples are the rows that a tool can send. In that for tools that send examples
// are those among them that break the contract on purpose, and those that a sandbox has to be asked for.
func forTools(d *bundle.Document, all []rows.Row, every bool) *bundle.Document {
	byOperation := map[string]map[string]rows.Row{}
	for _, row := range all {
		if byOperation[row.Operation] == nil {
			byOperation[row.Operation] = map[string]rows.Row{}
		}
		byOperation[row.Operation][row.Example] = row
	}
	return d.Changed(func(root *yaml.Node) {
		nameParameters(root)
		for item, operation := range operations(root) {
			t := toolsOperation{root: root, item: item, node: operation, rows: byOperation[bundle.Member(operation, "operationId").Value]}
			t.tell(every)
		}
		if about := bundle.Member(bundle.Member(root, "info"), "description"); every && about != nil {
			about.Value += everyTold
		}
		for _, item := range bundle.Values(bundle.Member(root, "paths")) {
			bundle.Drop(item, "parameters") // each operation has them
		}
		showHeaders(root)
		spellOut(root)
		dropUnused(root)
	})
}

// nameParameters gives the schema of each parameter that operations share the parameter's name. They are given copies
// of the parameter, since their examples differ, and of each copy's own schema generators would make another type.
func nameParameters(root *yaml.Node) {
	components := bundle.Member(root, "components")
	parameters, schemas := bundle.Member(components, "parameters"), bundle.Member(components, "schemas")
	for _, name := range bundle.Names(parameters) {
		parameter := bundle.Member(parameters, name)
		schema := bundle.Member(parameter, "schema")
		if bundle.Member(schema, "$ref") != nil || bundle.Member(schemas, name) != nil {
			continue
		}
		named := bundle.Copy(schema)
		bundle.Put(named, "description", bundle.Member(parameter, "description"))
		bundle.Put(schemas, name, named)
		bundle.Put(parameter, "schema", refTo(name))
	}
}

// toolsOperation is an operation of a document that is made into one for tools.
type toolsOperation struct {
	root, item, node *yaml.Node
	rows             map[string]rows.Row
}

// exampleRow is a row as examples say it.
type exampleRow struct {
	rows.Row
	like string // the row whose body it has
}

// tell has the operation's examples be its rows.
func (o toolsOperation) tell(every bool) {
	var shown []exampleRow
	var left []need
	for _, name := range o.names() {
		row, known := o.rows[name]
		if !known {
			continue // another operation's
		}
		if needs := needed(row, every); needs != "" {
			left = append(left, need{row, needs})
		} else {
			shown = append(shown, exampleRow{row, name})
		}
	}
	if every {
		var asked []exampleRow
		asked, left = onDemand(left, o.plain(shown, left))
		shown = append(shown, asked...)
	}
	if parameters := o.parameters(shown); parameters != nil {
		bundle.Put(o.node, "parameters", parameters)
	}
	if body := o.resolved(bundle.Member(o.node, "requestBody")); body != nil {
		own := bundle.Copy(body)
		for _, media := range bundle.Names(bundle.Member(own, "content")) {
			o.body(media, bundle.Member(bundle.Member(own, "content"), media), shown)
		}
		bundle.Put(o.node, "requestBody", own)
	}
	if len(left) > 0 {
		unsent := bundle.Mapping()
		for _, one := range left {
			bundle.Set(unsent, one.row.Example, "!!str", one.what)
		}
		bundle.Put(o.node, "x-unsent", unsent)
	}
	o.successes(shown)
}

// need is what a row needs that its examples would not say.
type need struct {
	row  rows.Row
	what string
}

// needed says what keeps a row's own request from being shown, "" where nothing does.
func needed(row rows.Row, every bool) string {
	if needs := lacking(row); needs != "" || !breaks(row) {
		return needs
	}
	switch {
	case !slices.Contains(ofBroken, row.Reply.Status):
		return tolerated
	case !every:
		return broken
	}
	return ""
}

// successes keeps the examples of successful replies to requests that are not shown in x-examples, where others are or
// a session would have to be drawn: tools take one for the reply to any request.
func (o toolsOperation) successes(shown []exampleRow) {
	responses := bundle.Member(o.node, "responses")
	for _, status := range bundle.Names(responses) {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		response := bundle.Copy(o.resolved(bundle.Member(responses, status)))
		for _, media := range bundle.Values(bundle.Member(response, "content")) {
			examples := bundle.Mapping()
			all := bundle.Member(media, "examples")
			for _, row := range shown {
				if example := bundle.Member(all, row.Example); example != nil {
					bundle.Put(examples, row.Example, example)
				}
			}
			drawn := slices.ContainsFunc(bundle.Names(all), func(name string) bool { return o.rows[name].Session != nil })
			if len(examples.Content) > 0 || drawn {
				o.keep(media, examples)
				bundle.Put(responses, status, response)
			}
		}
	}
}

// names are those of the examples of the operation's replies, in the document's order.
func (o toolsOperation) names() (all []string) {
	for _, ref := range bundle.Values(bundle.Member(o.node, "responses")) {
		response := o.resolved(ref)
		places := []*yaml.Node{bundle.Member(response, "x-examples"), bundle.Member(ref, "x-examples")}
		for _, media := range bundle.Values(bundle.Member(response, "content")) {
			places = append(places, bundle.Member(media, "examples"))
		}
		for _, examples := range places {
			for _, name := range bundle.Names(examples) {
				if !slices.Contains(all, name) {
					all = append(all, name)
				}
			}
		}
	}
	return all
}

func (o toolsOperation) resolved(n *yaml.Node) *yaml.Node { return resolved(o.root, n) }

// parameters are those of the operation and its path, each with what the rows send for it.
func (o toolsOperation) parameters(shown []exampleRow) *yaml.Node {
	all := sequence()
	taken := map[string]bool{}
	described := slices.Concat(bundle.Values(bundle.Member(o.node, "parameters")), bundle.Values(bundle.Member(o.item, "parameters")))
	if slices.ContainsFunc(shown, exampleRow.asks) {
		described = append(described, asking())
	}
	for _, ref := range described {
		p := bundle.Copy(o.resolved(ref))
		in, name := bundle.Member(p, "in").Value, bundle.Member(p, "name").Value
		if taken[in+name] {
			continue
		}
		taken[in+name] = true
		examples, succeeds := bundle.Mapping(), false
		for _, row := range shown {
			for _, argument := range row.Arguments {
				if argument.In == in && argument.Name == name {
					bundle.Put(examples, row.Example, example(row.When(), argument.Value))
					succeeds = succeeds || row.Reply.Status < http.StatusBadRequest
				}
			}
		}
		if len(examples.Content) > 0 {
			if own := bundle.Member(p, "example"); own != nil && !succeeds && bundle.Member(o.node, "requestBody") == nil {
				first := bundle.Mapping()
				bundle.Put(first, "summary", words("What is not refused"))
				bundle.Put(first, "value", own)
				examples.Content = append([]*yaml.Node{words("default"), first}, examples.Content...)
			}
			bundle.Drop(p, "example")
			o.keep(p, examples)
		}
		all.Content = append(all.Content, p)
	}
	if len(all.Content) == 0 {
		return nil
	}
	return all
}

// body has the examples of a request body of a media type be what the rows send.
func (o toolsOperation) body(mediaType string, media *yaml.Node, shown []exampleRow) {
	source := bundle.Member(media, "examples")
	if source == nil {
		return
	}
	examples := bundle.Mapping()
	for _, row := range shown {
		if row.Body == nil || row.ContentType != mediaType {
			continue
		}
		if row.Raw {
			bundle.Put(examples, row.Example, example(row.When(), string(row.Body)))
			continue
		}
		told := bundle.Copy(o.resolved(cmp.Or(bundle.Member(source, row.like), bundle.Member(source, "default"))))
		if row.like != row.Example || bundle.Member(source, row.like) == nil {
			bundle.Put(told, "summary", words(row.When()))
		}
		bundle.Put(examples, row.Example, told)
	}
	o.keep(media, examples)
}

// keep puts examples in the place of others, of which those with other names are kept in x-examples. One that stands
// in for others goes: each of these has its own, unless none is shown.
func (o toolsOperation) keep(holder, examples *yaml.Node) {
	source := bundle.Member(holder, "examples")
	if standIn := bundle.Member(source, "default"); standIn != nil && len(examples.Content) == 0 {
		bundle.Put(examples, "default", standIn)
	}
	kept := bundle.Mapping()
	for _, name := range bundle.Names(source) {
		if bundle.Member(examples, name) == nil && name != "default" {
			bundle.Put(kept, name, whole(o.root, bundle.Member(source, name)))
		}
	}
	bundle.Drop(holder, "examples")
	if len(examples.Content) > 0 {
		bundle.Put(holder, "examples", examples)
	}
	if len(kept.Content) > 0 {
		bundle.Put(holder, "x-examples", kept)
	}
}

// valueOf is what a parameter can hold: a text, a number, a boolean or a list of these.
func valueOf(value any) *yaml.Node {
	switch v := value.(type) {
	case []any:
		list := sequence()
		for _, item := range v {
			list.Content = append(list.Content, valueOf(item))
		}
		return list
	case float64:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: number(v)}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	default:
		return words(fmt.Sprint(v))
	}
}

// example is an example of a value.
func example(summary string, value any) *yaml.Node {
	n := bundle.Mapping()
	bundle.Put(n, "summary", words(summary))
	bundle.Put(n, "value", valueOf(value))
	return n
}

// lacking says what a row needs that no example can say, "" where it needs nothing.
func lacking(row rows.Row) string {
	described := map[string]bool{}
	for _, argument := range row.Arguments {
		described[argument.In+" "+argument.Name] = true
		if _, several := argument.Value.([]any); several && argument.In == openapi3.ParameterInHeader {
			return "a header twice"
		}
	}
	switch {
	case row.Fault != "":
		return "a fault inside the server"
	case row.Session != nil:
		return "a session, whose secrets are drawn"
	case len(row.After) > 0:
		return "other calls before it"
	case row.Authorization != "" || ofOtherKey(row):
		return credentials
	case row.Of.Doc.Paths.Value(row.Of.Path).GetOperation(row.Method) != row.Of.Op:
		return "a method that is not the operation's"
	}
	for _, p := range row.Of.Parameters() {
		described[p.In+" "+p.Name] = true
		described[p.In+" "+http.CanonicalHeaderKey(p.Name)] = true
	}
	for name := range row.Override {
		switch {
		case described["header "+name]:
		case name == "Content-Type":
			return "another content type, or none"
		case name == "Authorization":
			return credentials
		default:
			return "a header that the document does not describe"
		}
	}
	_, query, _ := strings.Cut(row.Path, "?")
	sent, _ := url.ParseQuery(query) // a row's query is encoded
	for name := range sent {
		if !described["query "+name] {
			return "a query that the document does not describe"
		}
	}
	if row.Raw && row.Of.Op.RequestBody == nil {
		return "a body where the document describes none"
	}
	if body := row.Of.Op.RequestBody; row.Body != nil && body != nil && len(body.Value.Content) > 1 && len(row.Arguments) > 0 {
		return "a parameter beside a body of one media type of several" // tools look for the body under each
	}
	if row.Raw && (!rows.IsJSON(row.ContentType) || strings.Trim(string(row.Body), " ") == "") {
		return "a body that no example can be"
	}
	return ""
}

// breaks tells whether a row's request breaks the contract.
func breaks(row rows.Row) bool {
	if row.Raw {
		return true
	}
	for _, p := range row.Of.Parameters() {
		i := slices.IndexFunc(row.Arguments, func(a rows.Argument) bool { return a.Parameter == p })
		if i < 0 && p.Required || i >= 0 && !fits(p.Schema, row.Arguments[i].Value) {
			return true
		}
	}
	if row.Body == nil || row.Of.Op.RequestBody == nil {
		return row.Of.Op.RequestBody != nil && row.Of.Op.RequestBody.Value.Required
	}
	media := row.Of.Op.RequestBody.Value.Content[row.ContentType]
	sent := row.Body
	if row.Sealed {
		sent = row.Printed
	}
	value := any(string(sent))
	if rows.MediaType(row.ContentType) == rows.MediaForm {
		named := media.Examples[row.Example]
		if named == nil {
			named = media.Examples["default"]
		}
		value = named.Value.Value
	} else if rows.IsJSON(row.ContentType) && json.Unmarshal(sent, &value) != nil {
		return true
	}
	return !fits(media.Schema, value)
}

// fits tells whether tools take a value: their formats are kin-openapi's, and stricter than ours in times.
func fits(schema *openapi3.SchemaRef, value any) bool {
	if schema == nil {
		return true
	}
	meant := contract.Meant(schema.Value, value)
	return schema.Value.VisitJSON(meant, openapi3.VisitAsRequest(), openapi3.EnableFormatValidation()) == nil &&
		schema.Value.VisitJSON(meant, openapi3.VisitAsRequest(), openapi3.EnableFormatValidation(), contract.Formats()) == nil
}

// showHeaders gives each header that a reply must have an example for each of the reply's: what its x-headers say,
// else the header's own or the one value that there is.
func showHeaders(root *yaml.Node) {
	responses := bundle.Values(bundle.Member(bundle.Member(root, "components"), "responses"))
	for _, operation := range operations(root) {
		responses = append(responses, bundle.Values(bundle.Member(operation, "responses"))...)
	}
	for _, response := range responses {
		headers := bundle.Member(response, "headers")
		for _, name := range bundle.Names(headers) {
			header := bundle.Copy(resolved(root, bundle.Member(headers, name)))
			if required := bundle.Member(header, "required"); required == nil || required.Value != "true" {
				continue
			}
			examples := bundle.Mapping()
			for _, media := range bundle.Values(bundle.Member(response, "content")) {
				all := bundle.Member(media, "examples")
				for _, row := range bundle.Names(all) {
					shown := resolved(root, bundle.Member(all, row))
					value := bundle.Member(bundle.Member(shown, "x-headers"), name)
					if value == nil {
						value = bundle.Member(header, "example")
					}
					if only := bundle.Values(bundle.Member(bundle.Member(header, "schema"), "enum")); value == nil && len(only) == 1 {
						value = only[0]
					}
					if value != nil {
						told := bundle.Mapping()
						bundle.Put(told, "value", value)
						bundle.Put(examples, row, told)
					}
				}
			}
			if len(examples.Content) > 0 {
				bundle.Drop(header, "example")
				bundle.Put(header, "examples", examples)
				bundle.Put(headers, name, header)
			}
		}
	}
}

// spellOut puts in the place of names in extensions what they name: no tool follows those, and what only they name
// would be a component that nothing uses.
func spellOut(root *yaml.Node) {
	if unrouted := bundle.Member(root, "x-error-response"); unrouted != nil {
		bundle.Put(root, "x-error-response", whole(root, bundle.Lookup(root, "#/components/responses/"+unrouted.Value)))
	}
	each(root, func(n *yaml.Node) {
		if message := bundle.Member(n, "x-decrypted-schema"); message != nil && message.Kind == yaml.ScalarNode {
			bundle.Put(n, "x-decrypted-schema", whole(root, bundle.Lookup(root, schemaRefs+message.Value)))
		}
	})
}
