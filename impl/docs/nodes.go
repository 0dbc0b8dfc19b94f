package docs

import (
	"iter"
	"slices"

	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
)

// The variants of a document are made of its nodes. What they share is here.

// schemaRefs begins a reference to a schema of the document.
const schemaRefs = "#/components/schemas/"

func words(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

func sequence(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

func refTo(schema string) *yaml.Node {
	n := bundle.Mapping()
	bundle.Put(n, "$ref", words(schemaRefs+schema))
	return n
}

// resolved is a node, or what its reference leads to.
func resolved(root, n *yaml.Node) *yaml.Node {
	if ref := bundle.Member(n, "$ref"); ref != nil {
		return bundle.Lookup(root, ref.Value)
	}
	return n
}

// whole is a copy of a node with what references lead to in their places.
func whole(root, n *yaml.Node) *yaml.Node {
	out := *resolved(root, n)
	out.Content = slices.Clone(out.Content)
	for i, inner := range out.Content {
		out.Content[i] = whole(root, inner)
	}
	return &out
}

// each calls a function with a node and all that is within.
func each(n *yaml.Node, visit func(*yaml.Node)) {
	visit(n)
	for _, inner := range n.Content {
		each(inner, visit)
	}
}

// operations are a document's, each after the path item that it stands in.
func operations(root *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(item, operation *yaml.Node) bool) {
		for _, item := range bundle.Values(bundle.Member(root, "paths")) {
			for _, member := range bundle.Values(item) {
				if bundle.Member(member, "responses") != nil && !yield(item, member) {
					return
				}
			}
		}
	}
}

// dropUnused takes out the components that nothing refers to, and those that only these refer to.
func dropUnused(root *yaml.Node) {
	components := bundle.Member(root, "components")
	for dropped := true; dropped; {
		dropped = false
		used := map[string]bool{}
		each(root, func(n *yaml.Node) {
			if ref := bundle.Member(n, "$ref"); ref != nil {
				used[ref.Value] = true
			}
		})
		for _, kind := range bundle.Names(components) {
			section := bundle.Member(components, kind)
			for _, name := range bundle.Names(section) {
				if kind != "securitySchemes" && !used["#/components/"+kind+"/"+name] {
					bundle.Drop(section, name)
					dropped = true
				}
			}
			if len(section.Content) == 0 {
				bundle.Drop(components, kind)
			}
		}
	}
}
