package contracttest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"pinvault/impl/rows"
)

// Step names a conversation.
type Step = rows.Step

// Conversation is a row of a document that is held with a server.
type Conversation = rows.Row

// Env is the running server that conversations are held with, and how to bring it where a conversation needs it.
type Env struct {
	// Client reaches the server.
	Client *Client

	// Cannot tells whether the server cannot hold a conversation, because of what it is set up with. Nil: it can hold all.
	Cannot func(c Conversation) bool

	// Reset puts the sandbox back to its fixtures, before every conversation.
	Reset func(tb testing.TB)

	// Authorize sets what the word of x-request.authorization stands for on r, whose body may be read by GetBody.
	// The word is "" by default; without a word, public operations are left alone.
	Authorize func(tb testing.TB, r *http.Request, word string)

	// Fault makes the part of the server fail that the word of x-request.fault names, until restore is called.
	Fault func(tb testing.TB, word string) (restore func())

	// Transform seals a request body, unless x-request gives it; where the conversation has a printed one, that is what
	// is sent if it opens to the body. It returns the body as it is sent and its content type;
	// x-request.contentType still takes precedence. Nil where nothing is sealed.
	Transform func(tb testing.TB, c Conversation, body []byte) (sealed []byte, contentType string)

	// Begin puts a session of its own into a conversation that needs one (x-request.session): into its path, and into its
	// body unless x-request gives that. Nil where no conversation does.
	Begin func(tb testing.TB, c Conversation) Conversation

	// Foreign is a text that no caller of another program may read, such as the id of the program whose the
	// examples' cards are.
	Foreign string

	// Open returns what is inside a reply's body; a body in clear as it is. Nil where nothing is sealed.
	Open func(tb testing.TB, c Conversation, body []byte) []byte
}

// Run holds every conversation of doc with the server, each as a subtest "operationId/name", and compares the whole
// reply. A document without conversations, or with an example that cannot be one, fails.
func Run(t *testing.T, doc *openapi3.T, env Env) {
	t.Helper()
	conversations, byStep := env.executable(t, doc)
	if len(conversations) == 0 {
		t.Fatal("the document has no named example")
	}
	for _, c := range conversations {
		t.Run(c.String(), func(t *testing.T) { env.converse(t, c, byStep) })
	}
}

// executable are the conversations of doc that can be held, and all by their steps.
func (e Env) executable(tb testing.TB, doc *openapi3.T) ([]Conversation, map[Step]Conversation) {
	tb.Helper()
	conversations, byStep := executable(tb, doc)
	if e.Cannot != nil {
		conversations = slices.DeleteFunc(slices.Clone(conversations), e.Cannot)
	}
	return conversations, byStep
}

// executable are the conversations of doc, and the same by their steps.
func executable(tb testing.TB, doc *openapi3.T) ([]Conversation, map[Step]Conversation) {
	tb.Helper()
	conversations, err := rows.All(doc)
	if err != nil {
		tb.Fatalf("examples that cannot be executed:\n%v", err)
	}
	byStep := map[Step]Conversation{}
	for _, c := range conversations {
		byStep[c.Step] = c
	}
	return conversations, byStep
}

// converse holds one conversation on a fresh sandbox.
func (e Env) converse(tb testing.TB, c Conversation, byStep map[Step]Conversation) {
	tb.Helper()
	e.prepare(tb, c, byStep)
	reply := e.exchange(tb, c)
	for _, difference := range e.differences(tb, c, reply) {
		tb.Errorf("%s (%s): %s", c, reply.request, difference)
	}
}

// prepare makes a fresh sandbox one in which the conversation can be held.
func (e Env) prepare(tb testing.TB, c Conversation, byStep map[Step]Conversation) {
	tb.Helper()
	e.Reset(tb)
	for _, step := range c.After {
		before := byStep[step]
		reply := e.exchange(tb, before)
		if reply.Status != before.Reply.Status {
			tb.Fatalf("%s: x-after %s: status %d, want %d; body: %s",
				c, step, reply.Status, before.Reply.Status, reply.Body)
		}
	}
}

// exchange sends the request of a conversation, with its fault in place.
func (e Env) exchange(tb testing.TB, c Conversation) *Reply {
	tb.Helper()
	if c.Fault != "" {
		if e.Fault == nil {
			tb.Fatalf("%s: fault %q without Env.Fault", c, c.Fault)
		}
		defer e.Fault(tb, c.Fault)()
	}
	return e.Client.For(tb).send(e.request(tb, c))
}

func (e Env) request(tb testing.TB, c Conversation) *http.Request {
	tb.Helper()
	if c.Session != nil {
		if e.Begin == nil {
			tb.Fatalf("%s: a session without Env.Begin", c)
		}
		c = e.Begin(tb, c)
	}
	r := withOperation(e.Client.For(tb).request(c.Method, c.Path), c.Of)
	body, contentType := c.Body, c.ContentType
	switch {
	case body == nil || c.Raw:
	case e.Transform != nil:
		body, contentType = e.Transform(tb, c, body)
	case c.Sealed:
		tb.Fatalf("%s: a sealed request without Env.Transform", c)
	}
	if body != nil {
		setBody(r, contentType, body)
	}
	maps.Copy(r.Header, c.Header)
	if e.Authorize != nil && (c.Authorization != "" || !c.Public) {
		e.Authorize(tb, r, c.Authorization)
	} else if c.Authorization != "" {
		tb.Fatalf("%s: authorization %q without Env.Authorize", c, c.Authorization)
	}
	maps.Copy(r.Header, c.Override)
	return r
}

// differences returns how a reply differs from the documented one.
func (e Env) differences(tb testing.TB, c Conversation, reply *Reply) []string {
	tb.Helper()
	body := reply.Body
	if c.Reply.Body != nil && reply.Status == c.Reply.Status {
		switch {
		case e.Open != nil:
			body = e.Open(tb, c, body)
		case c.Reply.Sealed:
			tb.Fatalf("%s: a sealed reply without Env.Open", c)
		}
	}
	return Differences(c, reply.Status, reply.Header, body)
}

// Differences returns how a reply, opened where it was sealed, differs from the one that a conversation documents. Of
// another status nothing more is said: its body is another reply's.
func Differences(c Conversation, status int, header http.Header, body []byte) []string {
	want := c.Reply
	if status != want.Status {
		return []string{fmt.Sprintf("status %d, want %d; body: %s", status, want.Status, body)}
	}
	var differences []string
	if got := rows.MediaType(header.Get("Content-Type")); got != rows.MediaType(want.ContentType) {
		differences = append(differences, fmt.Sprintf("content type %q, want %q", got, want.ContentType))
	}
	for _, name := range slices.Sorted(maps.Keys(want.Header)) {
		got := strings.Join(header.Values(name), ", ")
		if joined := strings.Join(want.Header[name], ", "); got != joined {
			differences = append(differences, fmt.Sprintf("header %s: %q, want %q", name, got, joined))
		}
	}
	return append(differences, bodyDifferences(want, body)...)
}

func bodyDifferences(documented rows.Reply, body []byte) []string {
	if documented.Body == nil {
		if len(body) > 0 {
			return []string{fmt.Sprintf("body %q, want none", body)}
		}
		return nil
	}
	want, err := documented.Decode(documented.Body)
	if err != nil {
		return []string{fmt.Sprintf("example is not JSON: %v", err)}
	}
	got, err := documented.Decode(body)
	if err != nil {
		return []string{fmt.Sprintf("body is not JSON: %v; body: %s", err, body)}
	}
	for _, pointer := range documented.Volatile {
		want, got = mask(want, rows.Tokens(pointer)), mask(got, rows.Tokens(pointer))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return []string{"body (-want +got):\n" + diff}
	}
	return nil
}
