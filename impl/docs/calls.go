package docs

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"pinvault/impl/contract"
	"pinvault/impl/rows"
)

// calls is what the page needs to make the rows of a document come out: it is loaded when the first one is tried.
type calls struct {
	Client string          `json:"client"`           // of the fixtures
	Tokens string          `json:"tokens,omitempty"` // path of the token endpoint
	Rows   map[string]call `json:"rows"`
}

// call is a row as a browser sends it.
type call struct {
	Method string `json:"method"`
	Path   string `json:"path"`

	Headers  http.Header `json:"headers,omitempty"`
	Override http.Header `json:"override,omitempty"` // set last; null keeps a header from being sent

	Type  string  `json:"type,omitempty"`
	Body  *string `json:"body,omitempty"`  // as it goes over the wire
	Blank int     `json:"blank,omitempty"` // instead: so many blanks
	Clear string  `json:"clear,omitempty"` // what is sealed in it

	Key    string `json:"key,omitempty"`    // header of the API key
	Bearer bool   `json:"bearer,omitempty"` // a token goes along
	Who    string `json:"who,omitempty"`    // word of x-request.authorization

	Session string     `json:"session,omitempty"` // word for what hands out the session that it is about
	After   []string   `json:"after,omitempty"`
	Reply   documented `json:"reply"`
}

// documented is the reply that has to come.
type documented struct {
	Status   int         `json:"status"`
	Type     string      `json:"type,omitempty"`
	Body     string      `json:"body,omitempty"` // opened, where it is sealed
	Sealed   bool        `json:"sealed,omitempty"`
	Volatile []string    `json:"volatile,omitempty"`
	Headers  http.Header `json:"headers,omitempty"`
}

func callsOf(d *contract.Document, all []rows.Row) (calls, error) {
	c := calls{Client: rows.FixtureClient(d.Spec()), Tokens: rows.TokenPath(d.Spec()), Rows: map[string]call{}}
	for _, row := range all {
		if row.Fault == "" {
			var err error
			if c.Rows[row.ID()], err = callOf(row); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

func callOf(row rows.Row) (call, error) {
	c := call{
		Method: row.Method, Path: row.Path, Headers: row.Header, Override: row.Override, Type: row.ContentType, Who: row.Authorization,
		Reply: documented{Status: row.Reply.Status, Type: row.Reply.ContentType, Body: string(row.Reply.Body), Sealed: row.Reply.Sealed,
			Volatile: row.Reply.Volatile, Headers: row.Reply.Header},
	}
	if wire := string(row.Body); row.Body != nil {
		if row.Sealed {
			c.Clear, wire = wire, string(row.Printed)
		}
		if c.Body = &wire; len(wire) > 1 && strings.Trim(wire, " ") == "" {
			c.Body, c.Blank = nil, len(wire)
		}
	}
	if row.Session != nil {
		c.Session = row.Session.Link
		if row.Session.Message != nil {
			message, err := json.Marshal(row.Session.Message)
			if err != nil {
				return c, err
			}
			c.Clear = string(message)
		}
	}
	for _, step := range row.After {
		c.After = append(c.After, step.ID())
	}
	shown := row.Credentials()
	c.Key, c.Bearer = shown.Key, shown.Bearer
	return c, nil
}

// unsendable says why no page can make a row come out, "" where it can.
func unsendable(row rows.Row) string {
	switch {
	case row.Fault != "":
		return "Needs a fault inside the server."
	case row.Authorization == "expired":
		return "Needs a token that has expired."
	case row.Authorization == "no-scope":
		return "Needs a client without the scope."
	case slices.Contains([]string{http.MethodTrace, http.MethodConnect}, row.Method):
		return "Needs a method that browsers do not send."
	case row.Body != nil && (row.Method == http.MethodGet || row.Method == http.MethodHead):
		return "Needs a body where browsers send none."
	case changedOnItsWay(row.Path):
		return "Needs a path that browsers change."
	}
	for _, headers := range []http.Header{row.Header, row.Override} {
		for name, values := range headers {
			if len(values) > 1 {
				return "Needs a header twice."
			}
			if values != nil && (slices.Contains(browsersOwn, name) || !plainHeader(values[0])) {
				return "Needs a header that browsers do not send."
			}
		}
	}
	return ""
}

// browsersOwn are headers that no script may set (Fetch, forbidden request-header).
var browsersOwn = []string{"Accept-Charset", "Accept-Encoding", "Connection", "Content-Length", "Cookie", "Date", "Expect", "Host",
	"Keep-Alive", "Origin", "Referer", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Via"}

// plainHeader tells whether a browser sends the value as it is.
func plainHeader(value string) bool {
	return value == strings.TrimSpace(value) && !strings.ContainsFunc(value, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsControl(r) })
}

// changedOnItsWay tells whether a path has steps that browsers resolve (URL, path state).
func changedOnItsWay(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	return slices.ContainsFunc(strings.Split(path, "/"), func(segment string) bool {
		plain, err := url.PathUnescape(segment)
		return err != nil || plain == "." || plain == ".." || strings.ContainsAny(segment, "\\\t\n")
	})
}
