package docs

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
)

// describeUnsent is a document whose request schemas say themselves what its introduction does: an optional member
// may be null and, where x-empty-is-absent says so, empty. Requests are checked without that, since what was not sent
// is taken out before (impl/contract); but a client that checks what it sends goes by the schemas alone.
func describeUnsent(d *bundle.Document) *bundle.Document {
	return d.Changed(func(root *yaml.Node) {
		u := unsent{root, map[*yaml.Node]bool{}}
		for _, operation := range operations(root) {
			for _, media := range bundle.Values(bundle.Member(resolved(u.root, bundle.Member(operation, "requestBody")), "content")) {
				u.schema(bundle.Member(media, "schema"))
				if message := bundle.Member(media, "x-decrypted-schema"); message != nil {
					u.schema(bundle.Lookup(root, schemaRefs+message.Value))
				}
			}
		}
	})
}

// unsent changes the schemas of requests, each once.
type unsent struct {
	root *yaml.Node
	done map[*yaml.Node]bool
}

// schema has the optional members of an object, and of what is within, admit that they are not sent.
func (u unsent) schema(n *yaml.Node) {
	n = resolved(u.root, n)
	if n == nil || u.done[n] {
		return
	}
	u.done[n] = true
	var required []string
	for _, name := range bundle.Values(bundle.Member(n, "required")) {
		required = append(required, name.Value)
	}
	properties := bundle.Member(n, "properties")
	for i := 0; properties != nil && i < len(properties.Content); i += 2 {
		u.schema(properties.Content[i+1])
		if !slices.Contains(required, properties.Content[i].Value) {
			properties.Content[i+1] = u.optional(properties.Content[i+1])
		}
	}
	u.schema(bundle.Member(n, "items"))
	for _, choice := range slices.Concat(bundle.Values(bundle.Member(n, "oneOf")), bundle.Values(bundle.Member(n, "anyOf"))) {
		u.schema(choice)
	}
}

// optional is a member's schema that admits null and, where it says so, nothing. One that other members share is
// copied; one of objects is left, since generators make a type of it.
func (u unsent) optional(n *yaml.Node) *yaml.Node {
	target := resolved(u.root, n)
	kind := bundle.Member(target, "type")
	if choices := bundle.Values(bundle.Member(target, "oneOf")); kind == nil && target == n && len(choices) > 0 {
		either := bundle.Copy(n)
		bundle.Member(either, "oneOf").Content[0] = u.optional(choices[0]) // of which just one may fit
		return either
	}
	if kind == nil || target != n && kind.Value == "object" {
		return n
	}
	admits := bundle.Copy(target)
	options := bundle.Member(admits, "enum")
	admit := func(tag, value string) {
		if options != nil {
			options.Content = append(options.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value})
		}
	}
	if bundle.Member(admits, "nullable") == nil {
		bundle.Set(admits, "nullable", "!!bool", "true")
		admit("!!null", "null")
	}
	if bundle.Member(admits, "x-empty-is-absent") == nil {
		return admits
	}
	admit("!!str", "")
	if length := bundle.Member(admits, "minLength"); length != nil {
		length.Value = "0"
	}
	if pattern := bundle.Member(admits, "pattern"); pattern != nil {
		pattern.Value = "^$|" + pattern.Value
	}
	return admits
}
