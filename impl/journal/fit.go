package journal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"pinvault/impl/rows"
)

// exchange is a request and its reply as far as a documented row can be recognized by them.
type exchange struct {
	said   facts
	status int
	media  string
	reply  any // decoded, of a sealed reply what is inside; nil where it cannot be read
	code   string
}

// facts are what a request says, by the name it says it under.
type facts map[string][]string

func (f facts) add(name string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			f.add(name, member)
		}
	case []any:
		for _, item := range value {
			f.add(name, item)
		}
	default: // null too, which is said where a row is about that
		f[plain(name)] = append(f[plain(name)], scalar(value))
	}
}

func (f facts) has(name string, value any) bool {
	return slices.Contains(f[plain(name)], scalar(value))
}

func scalar(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	out, err := json.Marshal(value)
	if err != nil { // of what was read from JSON
		return fmt.Sprint(value)
	}
	return string(out)
}

// body adds what a body says.
func (f facts) body(contentType string, body []byte) {
	if len(body) == 0 {
		return
	}
	if rows.MediaType(contentType) == rows.MediaForm {
		if form, err := url.ParseQuery(string(body)); err == nil {
			f.values(form)
			return
		}
	}
	if value, err := rows.DecodeJSON(body); err == nil {
		f.add("", value)
		return
	}
	f.add("", string(body))
}

func (f facts) values(all map[string][]string) {
	for name, values := range all {
		for _, value := range values {
			f.add(name, value)
		}
	}
}

// path adds what a path says, by the names of its template, and its query.
func (f facts) path(template, target string) {
	path, query, _ := strings.Cut(target, "?")
	segments := strings.Split(path, "/")
	for i, part := range strings.Split(template, "/") {
		if name, is := rows.ParameterName(part); is && i < len(segments) {
			value, err := url.PathUnescape(segments[i])
			if err == nil {
				f.add(name, value)
			}
		}
	}
	if asked, err := url.ParseQuery(query); err == nil {
		f.values(asked)
	}
}

// documented is a row, read for comparing.
type documented struct {
	exchange
	name     string
	fault    string // that it takes, "" for none
	template string // of the path
	volatile []string
}

// documentedOf reads a row.
func documentedOf(row rows.Row, told rows.ErrorReference) documented {
	d := documented{name: row.String(), fault: row.Fault, template: row.Of.Path, volatile: row.Reply.Volatile, exchange: exchange{said: facts{}, status: row.Reply.Status, media: rows.MediaType(row.Reply.ContentType)}}
	d.said.path(row.Of.Path, row.Path)
	for _, headers := range []http.Header{row.Header, row.Override} {
		d.said.values(headers)
	}
	if !row.Public && row.Authorization != "none" {
		d.said.add("Authorization", "") // of whom it is said by a word
	}
	d.said.body(row.ContentType, row.Body)
	if row.Reply.Body != nil {
		d.reply, _ = row.Reply.Decode(row.Reply.Body)
		d.code = told.CodeOf(d.reply)
	}
	return d
}

// due is what is known of why a call was answered as it was.
type due struct {
	rule  []string // the rows that the rule that was taken is there for
	fault string   // that it named
	cards []string // the rows that come out of the cards that were found, as they were at first
}

// byRule is how little a row is due to the rule that was taken.
func (d due) byRule(row documented) int {
	switch {
	case slices.Contains(d.rule, row.name):
		return 0
	case d.fault != "" && row.fault == d.fault:
		return 1
	case d.fault != "" && strings.TrimSuffix(row.fault, "-later") == strings.TrimSuffix(d.fault, "-later"):
		return 2
	}
	return 3
}

// byCard is 0 for a row that is due to a card, else 1.
func (d due) byCard(row documented) int {
	if slices.Contains(d.cards, row.name) {
		return 0
	}
	return 1
}

// fit is the name of the row that an exchange fits best, "" where it fits none: of those with its status, media type and
// code, if they have one, the one that is due to a rule, then the one whose reply is the most similar, then one that is due
// to a card, then the one whose request is the most similar, then the first.
func fit(x exchange, all []documented, why due) (name string) {
	var least [5]int
	for _, row := range all {
		if row.status != x.status || row.media != x.media || row.code != x.code {
			continue
		}
		names, values := unlike(row.said, x.said)
		rank := [5]int{why.byRule(row), differ(row, x, row.reply, x.reply, "", ""), why.byCard(row), names, values}
		if name == "" || slices.Compare(rank[:], least[:]) < 0 {
			name, least = row.name, rank
		}
	}
	return name
}

// unlike counts the names that only one of two requests has, and those under which they say something else.
func unlike(a, b facts) (names, values int) {
	for name, said := range a {
		switch other, both := b[name]; {
		case !both:
			names++
		case !slices.Equal(said, other):
			values++
		}
	}
	for name := range b {
		if _, both := a[name]; !both {
			names++
		}
	}
	return names, values
}

// differ counts what a reply says otherwise than its row's, except for what varies and what is repeated from the request.
func differ(row documented, x exchange, want, got any, pointer, name string) (count int) {
	if slices.Contains(row.volatile, pointer) {
		return kindsDiffer(want, got)
	}
	switch want := want.(type) {
	case map[string]any:
		object, is := got.(map[string]any)
		if !is {
			return 1
		}
		for member, value := range want {
			other, has := object[member]
			if !has {
				count++
				continue
			}
			count += differ(row, x, value, other, pointer+"/"+escape.Replace(member), member)
		}
		for member := range object {
			if _, has := want[member]; !has {
				count++
			}
		}
		return count
	case []any:
		list, is := got.([]any)
		if !is || len(list) != len(want) {
			return 1
		}
		for i := range want {
			count += differ(row, x, want[i], list[i], fmt.Sprintf("%s/%d", pointer, i), name)
		}
		return count
	}
	if want == got || row.said.has(name, want) && x.said.has(name, got) {
		return 0
	}
	return 1
}

// escape is that of JSON pointers (RFC 6901).
var escape = strings.NewReplacer("~", "~0", "/", "~1")

// kindsDiffer is 0 for two values of one JSON type, else 1.
func kindsDiffer(a, b any) int {
	if fmt.Sprintf("%T", a) == fmt.Sprintf("%T", b) {
		return 0
	}
	return 1
}
