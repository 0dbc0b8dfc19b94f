package ondemand

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"pinvault/impl/contract"
	"pinvault/impl/rows"
)

// marks are where a documented reply has what belongs to its call.
type marks struct {
	trace bool // in the member traceId
	echo  []echo
}

// echo is a member of the reply that a member, header or parameter of the request comes back in: one of the same name,
// that has the same value in the document.
type echo struct {
	to   string // JSON pointer into the reply
	from source
}

// source is where a request has a value.
type source struct {
	header, query string // the name, else
	body          string // a JSON pointer
}

const traceMember = "traceId"

func marksOf(row rows.Row, reply any) (m marks) {
	if members, ok := reply.(map[string]any); ok {
		_, m.trace = members[traceMember].(string)
	}
	sources := map[string][]source{} // by name and value
	key := func(name, value string) string { return strings.ToLower(name) + "\x00" + value }
	note := func(name, value string, s source) { sources[key(name, value)] = append(sources[key(name, value)], s) }
	for name, values := range row.Header {
		note(name, values[0], source{header: name})
	}
	_, encoded, _ := strings.Cut(row.Path, "?")
	query, _ := url.ParseQuery(encoded)
	for name, values := range query {
		note(name, values[0], source{query: name})
	}
	if sent, err := rows.DecodeJSON(row.Body); err == nil && rows.IsJSON(row.ContentType) {
		leaves(sent, "", func(pointer, name string, value any) { note(name, text(value), source{body: pointer}) })
	}
	leaves(reply, "", func(pointer, name string, value any) {
		if found := sources[key(name, text(value))]; len(found) > 0 && text(value) != "" {
			m.echo = append(m.echo, echo{pointer, found[0]})
		}
	})
	return m
}

// leaves visits the members of objects, however deep, that are texts or numbers, by their JSON pointers and names.
func leaves(value any, pointer string, visit func(pointer, name string, value any)) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			leaves(member, pointer+"/"+escapes.Replace(name), visit)
		}
	case []any:
		for i, item := range value {
			leaves(item, pointer+"/"+strconv.Itoa(i), visit)
		}
	case string, float64:
		if tokens := rows.Tokens(pointer); len(tokens) > 0 {
			visit(pointer, tokens[len(tokens)-1], value)
		}
	}
}

var escapes = strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901

// text writes a leaf as a header or query has it.
func text(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
	return ""
}

// Answer is the row's reply to a call: as the document has it, except for the call's trace and for what it repeats of its
// request, as far as that can be read and the reply keeps its document with it. Of a reply that is sealed Message is what
// is inside, and there is no body.
func (r *Row) Answer(call *http.Request, traceID string) contract.Reply {
	reply := contract.Reply{Status: r.Reply.Status, Header: r.ReplyHeader()}
	if r.Reply.ContentType == "" {
		return reply
	}
	reply.Header.Set("Content-Type", r.Reply.ContentType)
	for _, body := range [][]byte{r.personal(call, traceID, r.marks.echo), r.personal(call, traceID, nil), r.Reply.Body} {
		if reply.Body = body; r.Reply.Sealed {
			reply.Body, reply.Message = r.Reply.Printed, body
		}
		if body != nil && (r.op == nil || len(r.op.CheckReply(reply)) == 0) {
			break
		}
	}
	if r.Reply.Sealed {
		reply.Body = nil
	}
	return reply
}

// personal is the reply's body with a call's trace and echoes.
func (r *Row) personal(call *http.Request, traceID string, echoes []echo) []byte {
	if len(echoes) == 0 && (!r.marks.trace || traceID == "") {
		return r.Reply.Body
	}
	value, err := rows.DecodeJSON(r.Reply.Body)
	if err != nil {
		return r.Reply.Body
	}
	if members, ok := value.(map[string]any); ok && r.marks.trace && traceID != "" {
		members[traceMember] = traceID
	}
	if len(echoes) > 0 {
		sent := sentBy(call, slices.ContainsFunc(echoes, func(e echo) bool { return e.from.body != "" }))
		for _, e := range echoes {
			if said, ok := sent.at(e.from); ok {
				replace(value, e.to, said)
			}
		}
	}
	body, err := json.Marshal(value)
	if err != nil {
		return r.Reply.Body
	}
	return body
}

// sent is what of a request can be read.
type sent struct {
	header http.Header
	query  url.Values
	body   any
}

// mostRead is how much of a body is read, in bytes.
const mostRead = 64 << 10

func sentBy(r *http.Request, withBody bool) sent {
	s := sent{header: r.Header, query: r.URL.Query()}
	if !withBody || r.Body == nil {
		return s
	}
	if data, value := contract.Sent(r); data != nil {
		s.body = value
		return s
	}
	if data, err := io.ReadAll(io.LimitReader(r.Body, mostRead)); err == nil {
		s.body, _ = rows.DecodeJSON(data)
	}
	return s
}

// at is what the request has at a place.
func (s sent) at(from source) (any, bool) {
	switch {
	case from.header != "":
		return s.header.Get(from.header), s.header.Get(from.header) != ""
	case from.query != "":
		return s.query.Get(from.query), s.query.Has(from.query)
	}
	return rows.Lookup(s.body, from.body)
}

// replace puts a value of the same type in the place of a leaf.
func replace(root any, pointer string, value any) {
	known, _ := rows.Lookup(root, pointer)
	if !same(known, value) {
		return
	}
	holder, _ := rows.Lookup(root, pointer[:strings.LastIndexByte(pointer, '/')])
	tokens := rows.Tokens(pointer)
	switch node := holder.(type) {
	case map[string]any:
		node[tokens[len(tokens)-1]] = value
	case []any:
		i, _ := strconv.Atoi(tokens[len(tokens)-1]) // it was found there
		node[i] = value
	}
}

func same(a, b any) bool {
	_, texts := a.(string)
	_, text := b.(string)
	_, numbers := a.(float64)
	_, number := b.(float64)
	return texts && text || numbers && number
}
