package main

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// unnoticed is the level of a break that is one by oasdiff's rules, and that no caller notices by one of ours.
const unnoticed = "unnoticed"

// versions are a document as it was released and as it is.
type versions struct{ released, now *openapi3.T }

// weighed are changes, those breaks that no caller notices apart.
func (v versions) weighed(all []change) []change {
	weighed := slices.Clone(all)
	for i, c := range all {
		if c.Level == "breaking" && (samePath(c) || v.anyValue(c) || v.renamed(c, all)) {
			weighed[i].Level = unnoticed
		}
	}
	return weighed
}

var (
	pathParameter = regexp.MustCompile("^added the new path request parameter `([^`]+)`$")
	enumValue     = regexp.MustCompile("^removed the enum value `[^`]*` of the request property `([^`]+)`$")
	oneMore       = regexp.MustCompile("^added `#/components/schemas/([^`]+)` to (the response body `[a-zA-Z]+` list for the response status `[0-9]+`)$")
	oneLess       = regexp.MustCompile("^removed `#/components/schemas/([^`]+)` from (the response body `[a-zA-Z]+` list for the response status `[0-9]+`)$")
)

// samePath tells whether a change is that an operation describes a parameter that its path always had.
func samePath(c change) bool {
	found := pathParameter.FindStringSubmatch(c.Text)
	return found != nil && strings.Contains(c.Path, "{"+found[1]+"}")
}

// anyValue tells whether a change is that a property of a request need not be one of certain values any more.
func (v versions) anyValue(c change) bool {
	found := enumValue.FindStringSubmatch(c.Text)
	item := v.now.Paths.Value(c.Path)
	if found == nil || item == nil || item.GetOperation(c.Method) == nil || item.GetOperation(c.Method).RequestBody == nil {
		return false
	}
	content := item.GetOperation(c.Method).RequestBody.Value.Content
	for _, media := range content {
		property := media.Schema
		for name := range strings.SplitSeq(found[1], "/") {
			if property != nil {
				property = property.Value.Properties[name]
			}
		}
		if property == nil || property.Value.Enum != nil {
			return false
		}
	}
	return len(content) > 0
}

// renamed tells whether a change is that a reply's schema has another name, and is the same except for its description.
func (v versions) renamed(c change, all []change) bool {
	more := oneMore.FindStringSubmatch(c.Text)
	if more == nil {
		return false
	}
	return slices.ContainsFunc(all, func(other change) bool {
		less := oneLess.FindStringSubmatch(other.Text)
		if less == nil || less[2] != more[2] || other.Method != c.Method || other.Path != c.Path {
			return false
		}
		was := shape(v.released, less[1])
		return was != nil && reflect.DeepEqual(was, shape(v.now, more[1]))
	})
}

// shape is a schema without what describes it, nil where there is none.
func shape(document *openapi3.T, name string) any {
	if document.Components == nil || document.Components.Schemas[name] == nil {
		return nil
	}
	text, err := json.Marshal(document.Components.Schemas[name])
	if err != nil {
		panic(err) // it was read from JSON
	}
	var read any
	if err := json.Unmarshal(text, &read); err != nil {
		panic(err)
	}
	return plain(read)
}

func plain(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if _, text := inner.(string); name == "description" && text {
				delete(v, name)
				continue
			}
			v[name] = plain(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = plain(inner)
		}
	}
	return value
}
