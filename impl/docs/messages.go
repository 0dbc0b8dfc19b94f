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
		for _, item := range bundle.Values(bundle.Member(root, "paths")) {
			for _, operation := range bundle.Values(item) {
				show(bundle.Member(operation, "requestBody"))
				for _, response := range bundle.Values(bundle.Member(operation, "responses")) {
					show(response)
				}
			}
		}
	})
}

// either is a schema for a reader: what is inside, and what goes over the wire.
func either(message string, envelope *yaml.Node) *yaml.Node {
	text := func(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value} }
	object := func(members ...*yaml.Node) *yaml.Node {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: members}
	}
	titled := func(title string, schema *yaml.Node) *yaml.Node {
		return object(text("title"), text(title), text("allOf"), &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{schema}})
	}
	return object(
		text("description"), text("The fields of the message inside. It goes over the wire sealed, as the section Encryption says."),
		text("oneOf"), &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{
			titled("The message inside", object(text("$ref"), text("#/components/schemas/"+message))),
			titled("As it goes over the wire", envelope),
		}})
}
