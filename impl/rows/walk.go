package rows

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/getkin/kin-openapi/openapi3"
)

// place is where an example stands: its name within a parameter, media type or response. A shared component is one
// place, however many operations use it.
type place struct {
	holder any
	name   string
}

// walk collects the rows of a document, and everything that keeps an example from being one.
type walk struct {
	doc   *openapi3.T
	ids   map[string]bool  // operationIds
	taken map[Step]bool    // names that a reply has
	seen  map[place]string // every example, and where an error says it is
	used  map[place]bool   // those in a row, or in an error already
	rows  []Row
	errs  []error
}

func (w *walk) fail(where string, err error) {
	w.errs = append(w.errs, fmt.Errorf("%s: %w", where, err))
}

func (w *walk) document() {
	for method, o := range Operations(w.doc) {
		if id := o.Op.OperationID; id == "" || w.ids[id] {
			w.fail(method+" "+o.Path, fmt.Errorf("operationId %q is empty or not unique", id))
		}
		w.ids[o.Op.OperationID] = true
	}
	if w.doc.Components != nil {
		for _, name := range slices.Sorted(maps.Keys(w.doc.Components.Responses)) {
			w.response("components response "+name, w.doc.Components.Responses[name], func(reply) {})
		}
	}
	for method, o := range Operations(w.doc) {
		w.operation(method, o)
	}
	w.checkSteps()
	w.checkUse()
}

// operation walks one operation: what its requests offer, and the replies that make rows of it.
func (w *walk) operation(method string, o Operation) {
	for _, p := range o.Parameters() {
		for name := range p.Examples {
			w.offer(place{p, name}, o.Op.OperationID+" parameter "+p.Name)
		}
	}
	if o.Op.RequestBody != nil {
		for media, content := range o.Op.RequestBody.Value.Content {
			for name := range content.Examples {
				w.offer(place{content, name}, o.Op.OperationID+" request body "+media)
			}
		}
	}
	responses := o.Op.Responses.Map()
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		w.response(o.Op.OperationID+" "+status, responses[status], func(r reply) { w.converse(method, o, status, r) })
	}
}

// offer remembers an example of a request, except one that stands in for others: that needs no reply of its own.
func (w *walk) offer(p place, where string) {
	if p.name != standIn {
		w.first(p, where)
	}
}

// first remembers an example and says whether it was not seen before.
func (w *walk) first(p place, where string) bool {
	_, again := w.seen[p]
	if !again {
		w.seen[p] = where
	}
	return !again
}

// reply is a reply's example as it stands in the document.
type reply struct {
	place
	contentType string // "" for a reply without content
	value       any
	summary     string
	notes       notes
}

// response hands every example of a response to yield.
func (w *walk) response(where string, ref *openapi3.ResponseRef, yield func(reply)) {
	for _, media := range slices.Sorted(maps.Keys(ref.Value.Content)) {
		content := ref.Value.Content[media]
		if content.Example != nil {
			w.refuse(place{content, ""}, where, errors.New("an example without a name is no row"))
		}
		for _, name := range slices.Sorted(maps.Keys(content.Examples)) {
			example := content.Examples[name]
			w.reply(where, reply{place: place{content, name}, contentType: media, value: example.Value.Value, summary: example.Value.Summary},
				exampleExtensions(example), yield)
		}
	}
	w.contentless(where, ref.Value, ref.Value, ref.Value.Extensions, yield)
	w.contentless(where, ref, ref.Value, ref.Extensions, yield)
}

// contentless hands on the x-examples that stand in holder: a response, or a reference to one.
func (w *walk) contentless(where string, holder any, response *openapi3.Response, extensions map[string]any,
	yield func(reply),
) {
	var examples map[string]map[string]any
	err := Extension(extensions, "x-examples", &examples)
	if err == nil && len(examples) > 0 && len(response.Content) > 0 {
		err = errors.New("x-examples is for a reply without content")
	}
	if err != nil {
		w.refuse(place{holder, ""}, where, err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		summary, _ := examples[name]["summary"].(string)
		w.reply(where, reply{place: place{holder, name}, value: examples[name]["value"], summary: summary}, examples[name], yield)
	}
}

// reply hands on one example of a response if its extensions make sense.
func (w *walk) reply(where string, r reply, extensions map[string]any, yield func(reply)) {
	notes, err := readNotes(extensions)
	for _, id := range notes.operations {
		if !w.ids[id] {
			err = errors.Join(err, fmt.Errorf("x-operations: no operation %q", id))
		}
	}
	if err != nil {
		w.refuse(r.place, where, fmt.Errorf("%s: %w", r.name, err))
		return
	}
	w.first(r.place, where)
	r.notes = notes
	yield(r)
}

// refuse reports what is wrong with an example, once, however many operations share it.
func (w *walk) refuse(p place, where string, err error) {
	if w.first(p, where) {
		w.fail(where, err)
	}
	w.used[p] = true
}

// converse makes a row of a reply's example, unless that is another operation's.
func (w *walk) converse(method string, o Operation, status string, r reply) {
	id := o.Op.OperationID
	if r.notes.operations != nil && !slices.Contains(r.notes.operations, id) {
		return
	}
	w.used[r.place] = true
	step := Step{id, r.name}
	if w.taken[step] {
		w.fail(step.String(), errors.New("two replies have this name"))
		return
	}
	w.taken[step] = true
	want, err := expected(status, r)
	if err != nil {
		w.fail(step.String(), err)
		return
	}
	c := Row{
		Step:          step,
		Summary:       r.summary,
		Origin:        r.notes.origin,
		Advice:        r.notes.advice,
		Method:        cmp.Or(r.notes.request.Method, method),
		Authorization: r.notes.request.Authorization,
		Public:        o.Public(),
		Fault:         r.notes.request.Fault,
		Session:       r.notes.request.Session,
		After:         r.notes.after,
		Reply:         want,
		Of:            o,
	}
	if err := w.request(&c, r.notes.request); err != nil {
		w.fail(step.String(), err)
		return
	}
	w.rows = append(w.rows, c)
}

// expected puts the documented reply together.
func expected(status string, r reply) (Reply, error) {
	want := Reply{
		ContentType: r.contentType,
		Volatile:    r.notes.volatile,
		Header:      http.Header{},
		Sealed:      r.notes.decrypted != nil,
	}
	var err error
	if want.Status, err = strconv.Atoi(status); err != nil {
		return want, fmt.Errorf("a reply under %q has no status", status)
	}
	for name, value := range r.notes.headers {
		if want.Header[http.CanonicalHeaderKey(name)], err = texts(value); err != nil {
			return want, fmt.Errorf("x-headers: %s: %w", name, err)
		}
	}
	if r.contentType == "" {
		if r.value != nil || want.Sealed || want.Volatile != nil {
			err = errors.New("a reply without content has no value")
		}
		return want, err
	}
	if want.Body, err = encode(r.contentType, r.value, r.notes.decrypted); err != nil {
		return want, err
	}
	if want.Sealed {
		if want.Printed, err = encode(r.contentType, r.value, nil); err != nil {
			return want, err
		}
	}
	value, err := want.Decode(want.Body)
	if err != nil {
		return want, err
	}
	for _, pointer := range want.Volatile {
		if _, ok := Lookup(value, pointer); !ok {
			return want, fmt.Errorf("x-volatile: nothing at %q", pointer)
		}
	}
	return want, nil
}

// checkSteps reports what x-after asks for and the document does not have, and drops the rows that need it.
func (w *walk) checkSteps() {
	w.rows = slices.DeleteFunc(w.rows, func(c Row) bool {
		unknown := false
		for _, step := range c.After {
			if !w.taken[step] {
				unknown = true
				w.fail(c.String(), fmt.Errorf("x-after: no row %q", step))
			}
		}
		return unknown
	})
}

// checkUse reports the examples that nothing sends or expects.
func (w *walk) checkUse() {
	byWhere := func(a, b place) int {
		return cmp.Or(cmp.Compare(w.seen[a], w.seen[b]), cmp.Compare(a.name, b.name))
	}
	for _, p := range slices.SortedFunc(maps.Keys(w.seen), byWhere) {
		if !w.used[p] {
			w.fail(w.seen[p], fmt.Errorf("the example %q is part of no row", p.name))
		}
	}
}
