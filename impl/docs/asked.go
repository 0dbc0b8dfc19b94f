package docs

import (
	"net/http"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
	"pinvault/impl/rows"
)

// What a row needs besides its request a sandbox does without, when it is asked for the row by a header. The variant of a
// document for tools that send examples has these rows with the header, and a plain request.

// everyTold ends the introduction of the variant for tools that send examples.
const everyTold = `

## This variant

Named examples are the documented rows of an operation: its request and the reply to it have one name. A row that needs more
than a request, such as a fault inside the server, a session or other calls before it, has a plain request with the header
` + "`" + rows.AskHeader + "`" + `, by which a sandbox answers with the row. No client needs the header, and no other server heeds it. What is refused for
another method or media type than the document's has no request: it is in ` + "`x-unsent`" + ` of its operation, with the reason.
`

// ofOthers are the statuses of methods and media types that a document does not have. Tools take no example of what it has
// for one of these, and Specmatic takes it for one of a success where that has no content.
var ofOthers = []int{http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType}

// asks tells whether the row has to be asked for.
func (r exampleRow) asks() bool {
	return slices.ContainsFunc(r.Arguments, func(a rows.Argument) bool { return a.Parameter == askParameter })
}

// plain are requests of the operation with nothing special about them: one, or one for each media type of the body, since
// tools look for a row's body under each. There are none where some media type has none.
func (o toolsOperation) plain(shown []exampleRow, left []need) (all []rows.Row) {
	var usable []rows.Row
	for _, row := range shown {
		usable = append(usable, row.Row)
	}
	for _, one := range left { // after those, since they come out as they stand
		usable = append(usable, bare(one.row))
	}
	usable = slices.DeleteFunc(usable, func(row rows.Row) bool { return lacking(row) != "" || breaks(row) })
	media := bundle.Names(bundle.Member(o.resolved(bundle.Member(o.node, "requestBody")), "content"))
	if len(media) < 2 {
		media = []string{""} // whichever, and none
	}
	for _, mediaType := range media {
		fit := slices.DeleteFunc(slices.Clone(usable), func(row rows.Row) bool { return mediaType != "" && row.ContentType != mediaType })
		if len(fit) == 0 {
			return nil
		}
		all = append(all, *rows.Plain(fit)[fit[0].Operation])
	}
	return all
}

// bare is a row's request with what is required of it, and without what no example can say.
func bare(row rows.Row) rows.Row {
	row.Fault, row.Session, row.After, row.Authorization, row.Override = "", nil, nil, "", nil
	row.Arguments = slices.DeleteFunc(slices.Clone(row.Arguments), func(a rows.Argument) bool { return !a.Required })
	return row
}

// onDemand are rows that a sandbox answers plain requests with, by the header, and those that are still left.
func onDemand(left []need, plain []rows.Row) (asked []exampleRow, still []need) {
	for _, one := range left {
		if len(plain) == 0 || slices.Contains(ofOthers, one.row.Reply.Status) {
			still = append(still, one)
			continue
		}
		for _, like := range plain {
			row := exampleRow{like, like.Example}
			row.Step, row.Asked, row.Summary, row.Reply = one.row.Step, one.row.Asked, one.row.Summary, one.row.Reply
			row.Arguments = slices.Concat(like.Arguments, []rows.Argument{{Parameter: askParameter, Value: row.String()}})
			asked = append(asked, row)
		}
	}
	return asked, still
}

// askParameter is the header by which a sandbox is asked for a row.
var askParameter = &openapi3.Parameter{
	In:          openapi3.ParameterInHeader,
	Name:        rows.AskHeader,
	Description: "A documented row, which a sandbox answers with whatever else the call says. No other server heeds it.",
}

// asking is the same as a document has it.
func asking() *yaml.Node {
	n, schema := bundle.Mapping(), bundle.Mapping()
	bundle.Put(schema, "type", words("string"))
	bundle.Put(n, "name", words(askParameter.Name))
	bundle.Put(n, "in", words(askParameter.In))
	bundle.Put(n, "description", words(askParameter.Description))
	bundle.Put(n, "schema", schema)
	return n
}
