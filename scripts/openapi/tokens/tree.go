package main

import (
	"iter"

	"go.yaml.in/yaml/v3"
)

// target is what an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// members yields the members of a mapping in their order, those that are merged in (<<) first; one that is written
// besides takes the place of the merged one. They are not resolved: an alias is one.
func members(n *yaml.Node) iter.Seq2[string, *yaml.Node] {
	var names []string
	values := map[string]*yaml.Node{}
	var collect func(n *yaml.Node)
	collect = func(n *yaml.Node) {
		if n = target(n); n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i < len(n.Content); i += 2 {
			name, value := n.Content[i], n.Content[i+1]
			if name.ShortTag() == "!!merge" {
				collect(value)
				continue
			}
			if _, there := values[name.Value]; !there {
				names = append(names, name.Value)
			}
			values[name.Value] = value
		}
	}
	collect(n)
	return func(yield func(string, *yaml.Node) bool) {
		for _, name := range names {
			if !yield(name, values[name]) {
				return
			}
		}
	}
}

// items are those of a sequence.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// own is a member that is written in the mapping itself, nil for none.
func own(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// at follows names down from a mapping, nil where one is not there.
func at(n *yaml.Node, names ...string) *yaml.Node {
	for _, name := range names {
		var found *yaml.Node
		for member, value := range members(n) {
			if member == name {
				found = target(value)
			}
		}
		n = found
	}
	return n
}

// text is a scalar's, "" for nothing.
func text(n *yaml.Node) string {
	if n = target(n); n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// examples yields the examples of a request body's or a response's content, resolved.
func examples(body *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		for _, media := range members(at(body, "content")) {
			for name, example := range members(at(media, "examples")) {
				if !yield(name, target(example)) {
					return
				}
			}
		}
	}
}
