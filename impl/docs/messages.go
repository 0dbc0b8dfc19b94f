package docs

import (
	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
)

// showMessages is a document whose sealed contents have the message's fields beside the envelope's: a reader is shown
// schemas, and of an envelope there is only one field to show.
func showMessages(d *bundle.Document) *bundle.Document {
	return d.Changed(func(root *yaml.Node) {
		done := map[*yaml.Node]bool{}
		show := func(part *yaml.Node) {
			for _, media := range bundle.Values(bundle.Member(resolved(root, part), "content")) {
				message := bundle.Member(media, "x-decrypted-schema")
				if message == nil || done[media] {
					continue
				}
				done[media] = true
				envelope := *bundle.Member(media, "schema")
				*bundle.Member(media, "schema") = *either(message.Value, &envelope)
			}
		}
		for _, operation := range operations(root) {
			show(bundle.Member(operation, "requestBody"))
			for _, response := range bundle.Values(bundle.Member(operation, "responses")) {
				show(response)
			}
		}
	})
}

// either is a schema for a reader: what is inside, and what goes over the wire.
func either(message string, envelope *yaml.Node) *yaml.Node {
	titled := func(title string, schema *yaml.Node) *yaml.Node {
		n := bundle.Mapping()
		bundle.Put(n, "title", words(title))
		bundle.Put(n, "allOf", sequence(schema))
		return n
	}
	n := bundle.Mapping()
	bundle.Put(n, "description", words("The fields of the message inside. It goes over the wire sealed, as the section Encryption says."))
	bundle.Put(n, "oneOf", sequence(titled("The message inside", refTo(message)), titled("As it goes over the wire", envelope)))
	return n
}
