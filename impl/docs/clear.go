package docs

import (
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
	"pinvault/impl/contract"
	"pinvault/impl/rows"
)

// clearTold ends the introduction of a document in the clear.
const clearTold = `

## This variant

Messages stand in the place of their envelopes, for generated clients whose transport seals and opens beneath them. What
goes over the wire is described by the document without "clear" in its name.
`

// seals tells whether some message of a document travels in an envelope.
func seals(spec *openapi3.T) bool {
	sealed := func(content openapi3.Content) bool {
		for _, media := range content {
			if contract.MessageSchema(media.Extensions) != "" {
				return true
			}
		}
		return false
	}
	for _, o := range rows.Operations(spec) {
		if body := o.Op.RequestBody; body != nil && sealed(body.Value.Content) {
			return true
		}
		for _, r := range o.Op.Responses.Map() {
			if sealed(r.Value.Content) {
				return true
			}
		}
	}
	return false
}

// Clear is a document whose sealed messages stand in the place of their envelopes, in schemas and in examples.
func Clear(d *bundle.Document) *bundle.Document {
	return d.Changed(func(root *yaml.Node) {
		each(root, func(n *yaml.Node) {
			if content := bundle.Member(n, "content"); content != nil {
				open(root, content)
			}
		})
		each(root, func(n *yaml.Node) {
			if message := bundle.Member(n, "x-decrypted"); message != nil {
				*bundle.Member(n, "value") = *message
				bundle.Drop(n, "x-decrypted")
			}
		})
		dropUnused(root)
		if about := bundle.Member(bundle.Member(root, "info"), "description"); about != nil {
			about.Value += clearTold
		}
	})
}

// open has a content describe its messages, as JSON. Where the contract takes the same message in the clear anyway,
// that stays as it is.
func open(root, content *yaml.Node) {
	for i := 0; i < len(content.Content); i += 2 {
		name, media := content.Content[i], content.Content[i+1]
		message := bundle.Member(media, "x-decrypted-schema")
		if message == nil {
			continue
		}
		schema := bundle.Member(media, "schema")
		if name.Value != rows.MediaJSON && bundle.Member(content, rows.MediaJSON) != nil {
			bundle.Drop(content, name.Value)
			i -= 2
			continue
		}
		name.Value = rows.MediaJSON
		alternatives := bundle.Values(bundle.Member(resolved(root, schema), "oneOf"))
		if len(alternatives) < 2 {
			dropWireOnly(root, media)
		}
		*schema = *refTo(opened(root, message.Value, alternatives))
		bundle.Drop(media, "x-decrypted-schema")
	}
}

// opened is the schema of a message and, where its envelope is the first of several replies, of the others: a reply may
// be in the clear where no key is known to seal it with. Those get a name, of which generators make a type.
func opened(root *yaml.Node, message string, alternatives []*yaml.Node) string {
	if len(alternatives) < 2 {
		return message
	}
	names := []string{message}
	choices := sequence(refTo(message))
	for _, other := range alternatives[1:] {
		names = append(names, strings.TrimPrefix(bundle.Member(other, "$ref").Value, schemaRefs))
		choices.Content = append(choices.Content, bundle.Copy(other))
	}
	either := strings.Join(names, "Or")
	if schemas := bundle.Lookup(root, strings.TrimSuffix(schemaRefs, "/")); bundle.Member(schemas, either) == nil {
		all := bundle.Mapping()
		bundle.Put(all, "description", words("The message, or an error that came before its key was known."))
		bundle.Put(all, "oneOf", choices)
		bundle.Put(schemas, either, all)
	}
	return either
}

// dropWireOnly takes away the examples that are about the envelope: no message is in them.
func dropWireOnly(root, media *yaml.Node) {
	bundle.Drop(media, "example")
	examples := bundle.Member(media, "examples")
	for i := 0; examples != nil && i < len(examples.Content); i += 2 {
		if bundle.Member(resolved(root, examples.Content[i+1]), "x-decrypted") == nil {
			bundle.Drop(examples, examples.Content[i].Value)
			i -= 2
		}
	}
}
