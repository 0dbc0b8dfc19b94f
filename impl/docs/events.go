package docs

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"strings"

	"go.yaml.in/yaml/v3"

	"pinvault/impl/bundle"
)

// eventsName is the document of what is sent, which no request is held against: it has webhooks alone, and is OpenAPI 3.1.
const eventsName = "events"

// told is the document of what is sent, as its page shows it.
type told struct {
	Title, Summary string
	About          template.HTML
	Groups         []toldGroup
}

// toldGroup are the events of a tag.
type toldGroup struct {
	Name, About string
	Events      []toldEvent
}

// toldEvent is one of them.
type toldEvent struct {
	Name, Summary string
	About         template.HTML
	Example       string // its message
	Fields        []toldField
}

// ID is what links lead to.
func (e toldEvent) ID() string { return strings.NewReplacer(".", "-", "_", "-").Replace(e.Name) }

// toldField is a member of data.
type toldField struct {
	Name  string
	About template.HTML
}

type toldPage struct {
	place
	*told
}

// tells adds the document of what is sent, where there is one beside the others.
func (s *Site) tells(written fs.FS, url string) error {
	if _, err := fs.Stat(written, eventsName+".yaml"); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	whole := inOnePiece(written, eventsName, url)
	s.told = then(whole, messagesOf)
	s.Files = append(s.Files,
		made("openapi/"+eventsName+".yaml", yamlType, then(whole, (*bundle.Document).YAML)),
		made("openapi/"+eventsName+".json", "application/json", then(whole, (*bundle.Document).JSON)))
	return nil
}

// messagesOf reads the document.
func messagesOf(d *bundle.Document) (*told, error) {
	text, err := d.YAML()
	var document yaml.Node
	if err == nil {
		err = yaml.Unmarshal(text, &document)
	}
	if err != nil {
		return nil, err
	}
	root := document.Content[0]
	info := bundle.Member(root, "info")
	about, err := markdown(bundle.Member(info, "description").Value)
	if err != nil {
		return nil, err
	}
	shown := &told{Title: bundle.Member(info, "title").Value, Summary: bundle.Member(info, "summary").Value, About: about.HTML}
	groups := map[string]*toldGroup{}
	tags := bundle.Values(bundle.Member(root, "tags"))
	shown.Groups = make([]toldGroup, len(tags))
	for i, tag := range tags {
		shown.Groups[i] = toldGroup{Name: bundle.Member(tag, "name").Value, About: bundle.Member(tag, "description").Value}
		groups[shown.Groups[i].Name] = &shown.Groups[i]
	}
	webhooks := bundle.Member(root, "webhooks")
	for i, name := range bundle.Names(webhooks) {
		operation := bundle.Member(bundle.Values(webhooks)[i], "post")
		e, err := toldEventOf(root, name, operation)
		group := groups[bundle.Values(bundle.Member(operation, "tags"))[0].Value]
		if err != nil || group == nil {
			return nil, fmt.Errorf("document %s: webhook %s: %w", eventsName, name, errors.Join(err, fs.ErrInvalid))
		}
		group.Events = append(group.Events, e)
	}
	return shown, nil
}

func toldEventOf(root *yaml.Node, name string, operation *yaml.Node) (toldEvent, error) {
	e := toldEvent{Name: name, Summary: bundle.Member(operation, "summary").Value}
	about, err := markdown(bundle.Member(operation, "description").Value)
	if err != nil {
		return e, err
	}
	e.About = about.HTML
	content := bundle.Member(bundle.Member(bundle.Member(operation, "requestBody"), "content"), "application/json")
	for _, example := range bundle.Values(bundle.Member(content, "examples")) {
		var message any
		if err := bundle.Member(example, "value").Decode(&message); err != nil {
			return e, err
		}
		text, err := json.MarshalIndent(message, "", "  ")
		if err != nil {
			return e, err
		}
		e.Example = string(text)
	}
	message := bundle.Member(resolved(root, bundle.Member(content, "schema")), "properties")
	data := bundle.Member(resolved(root, bundle.Member(message, "data")), "properties")
	for i, name := range bundle.Names(data) {
		field, err := markdown(bundle.Member(resolved(root, bundle.Values(data)[i]), "description").Value)
		if err != nil {
			return e, err
		}
		e.Fields = append(e.Fields, toldField{name, field.HTML})
	}
	return e, nil
}
