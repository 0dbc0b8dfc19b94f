package rows

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// standIn is the name of the example that a required parameter or body takes where none has the row's name.
const standIn = "default"

// request puts the request of a row together: x-request, parameters, body.
func (w *walk) request(c *Row, notes requestNotes) error {
	headers, err := allTexts(notes.Headers)
	if err != nil {
		return fmt.Errorf("x-request: header %w", err)
	}
	c.Override = http.Header{}
	for name, values := range headers {
		c.Override[http.CanonicalHeaderKey(name)] = values
	}
	if t := notes.ContentType; t != nil {
		c.Override["Content-Type"] = nil
		if *t != "" {
			c.Override.Set("Content-Type", *t)
		}
	}
	if err := w.parameters(c, notes); err != nil {
		return err
	}
	return w.body(c, notes)
}

// parameters fills in path, query and headers.
func (w *walk) parameters(c *Row, notes requestNotes) error {
	segments, err := allTexts(notes.Path)
	if err != nil {
		return fmt.Errorf("x-request: path %w", err)
	}
	query, err := allTexts(notes.Query)
	if err != nil {
		return fmt.Errorf("x-request: query %w", err)
	}
	c.Header = http.Header{}
	targets := map[string]map[string][]string{
		openapi3.ParameterInPath:   segments,
		openapi3.ParameterInQuery:  query,
		openapi3.ParameterInHeader: c.Header,
	}
	for _, p := range c.Of.Parameters() {
		target := targets[p.In]
		if target == nil {
			return fmt.Errorf("parameter %s in %s is not provided for", p.Name, p.In)
		}
		if value, overridden := overriding(notes, p); overridden {
			c.send(p, value)
			continue
		}
		named := p.Examples[c.Example]
		if named != nil {
			c.Asked = named.Value.Summary
		}
		value := w.argument(p, c.Example)
		if value == nil && (p.Required || named != nil) {
			return fmt.Errorf("parameter %s: no example", p.Name)
		}
		values, err := written(p, value)
		if err != nil {
			return err
		}
		if c.send(p, value); values != nil {
			target[nameOf(p)] = values
		}
	}
	if c.Path, err = expand(c.Of.Path, segments); err != nil {
		return err
	}
	if encoded := url.Values(query).Encode(); encoded != "" {
		c.Path += "?" + encoded
	}
	return nil
}

// nameOf is a parameter's name as requests are told apart by it.
func nameOf(p *openapi3.Parameter) string {
	if p.In == openapi3.ParameterInHeader {
		return http.CanonicalHeaderKey(p.Name)
	}
	return p.Name
}

// overriding is what x-request says of a parameter, if anything.
func overriding(notes requestNotes, p *openapi3.Parameter) (value any, overridden bool) {
	switch p.In {
	case openapi3.ParameterInPath:
		value, overridden = notes.Path[p.Name]
	case openapi3.ParameterInQuery:
		value, overridden = notes.Query[p.Name]
	default:
		for name, said := range notes.Headers {
			if http.CanonicalHeaderKey(name) == nameOf(p) {
				return said, true
			}
		}
	}
	return value, overridden
}

// send notes what a parameter holds.
func (c *Row) send(p *openapi3.Parameter, value any) {
	if value != nil {
		c.Arguments = append(c.Arguments, Argument{p, value})
	}
}

// argument is what a parameter holds in the row of that name; nil leaves it out, if it may be.
func (w *walk) argument(p *openapi3.Parameter, name string) any {
	switch named := p.Examples[name]; {
	case named != nil:
		w.used[place{p, name}] = true
		return named.Value.Value
	case !p.Required:
		return nil
	case p.Examples[standIn] != nil:
		return p.Examples[standIn].Value.Value
	default:
		return p.Example
	}
}

// written is a parameter's value as it is sent; nil leaves it out. A list in the query is repeated, elsewhere it
// is joined by commas: form and simple, the default styles of OpenAPI.
func written(p *openapi3.Parameter, value any) ([]string, error) {
	values, err := texts(value)
	if err != nil {
		return nil, fmt.Errorf("parameter %s: %w", p.Name, err)
	}
	if values == nil {
		return nil, nil
	}
	if repeated := p.Explode == nil || *p.Explode; p.In == openapi3.ParameterInQuery && repeated {
		return values, nil
	}
	return []string{strings.Join(values, ",")}, nil
}

// allTexts writes each value as [texts] does.
func allTexts(values map[string]any) (map[string][]string, error) {
	all := map[string][]string{}
	for name, value := range values {
		var err error
		if all[name], err = texts(value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
}

// expand puts escaped values into a path template, one for each of its parameters.
func expand(template string, values map[string][]string) (string, error) {
	segments := strings.Split(template, "/")
	left := maps.Clone(values)
	for i, segment := range segments {
		name, isParameter := ParameterName(segment)
		if !isParameter {
			continue
		}
		if len(values[name]) != 1 {
			return "", fmt.Errorf("path parameter %s has no value", name)
		}
		segments[i] = url.PathEscape(values[name][0])
		delete(left, name)
	}
	if len(left) > 0 {
		return "", fmt.Errorf("%s has no path parameter %q", template, slices.Sorted(maps.Keys(left)))
	}
	return strings.Join(segments, "/"), nil
}

// body fills in the body: what x-request says, the example of the row's name, or, where a body is required,
// the example "default". A method that is not the operation's requires none.
func (w *walk) body(c *Row, notes requestNotes) error {
	var content openapi3.Content
	required := false
	if ref := c.Of.Op.RequestBody; ref != nil {
		content = ref.Value.Content
		required = (ref.Value.Required || c.Of.Op.Extensions["x-content-type-required"] == true) && notes.Method == ""
	}
	if raw := notes.raw(); raw != nil {
		c.Raw, c.Body, c.ContentType = true, raw, usual(content)
		return nil
	}
	if err := w.bodyExample(c, content, c.Example); err != nil || c.Body != nil || !required {
		return err
	}
	if err := w.bodyExample(c, content, standIn); err != nil || c.Body != nil {
		return err
	}
	return errors.New("the body is required and has no example of this name, no default and no rawBody")
}

// bodyExample fills in the body with the example of a name, if there is one.
func (w *walk) bodyExample(c *Row, content openapi3.Content, name string) error {
	for _, media := range slices.Sorted(maps.Keys(content)) {
		example := content[media].Examples[name]
		if example == nil {
			continue
		}
		w.used[place{content[media], name}] = true
		if name == c.Example {
			c.Asked = example.Value.Summary
		}
		if c.Body != nil {
			return fmt.Errorf("request bodies of two media types have the name %q", name)
		}
		decrypted := exampleExtensions(example)["x-decrypted"]
		encoded, err := encode(media, example.Value.Value, decrypted)
		if err != nil {
			return fmt.Errorf("request body: %w", err)
		}
		c.Body, c.ContentType, c.Sealed = encoded, media, decrypted != nil
		if c.Sealed {
			if c.Printed, err = encode(media, example.Value.Value, nil); err != nil {
				return fmt.Errorf("request body: %w", err)
			}
		}
	}
	return nil
}

// usual returns the media type of a body that no example stands for: JSON where the operation takes it.
func usual(content openapi3.Content) string {
	if _, ok := content[MediaJSON]; ok || len(content) == 0 {
		return MediaJSON
	}
	return slices.Min(slices.Collect(maps.Keys(content)))
}

// encode writes an example as its media type has it; of a sealed one what is inside, as JSON.
func encode(contentType string, value, decrypted any) ([]byte, error) {
	if decrypted != nil {
		return json.Marshal(decrypted)
	}
	if value == nil {
		return nil, errors.New("the example has no value")
	}
	if IsJSON(contentType) {
		return json.Marshal(value)
	}
	if text, ok := value.(string); ok {
		return []byte(text), nil
	}
	if fields, ok := value.(map[string]any); ok && MediaType(contentType) == MediaForm {
		form, err := allTexts(fields)
		return []byte(url.Values(form).Encode()), err
	}
	return nil, fmt.Errorf("%s cannot be sent as %s", compact(value), contentType)
}

// ParameterName returns the name within a template's segment "{name}".
func ParameterName(segment string) (string, bool) {
	name, opened := strings.CutPrefix(segment, "{")
	name, closed := strings.CutSuffix(name, "}")
	return name, opened && closed
}
