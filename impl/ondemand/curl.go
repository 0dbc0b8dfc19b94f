package ondemand

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"pinvault/impl/rows"
)

// DocsOf is the place of a contract's row in the documentation, as a path.
func DocsOf(contract, row string) string {
	return "/docs/" + contract + "#" + rows.StepOf(row).ID()
}

// Docs is the row's place in the documentation, as a path.
func (r *Row) Docs() string { return DocsOf(r.Contract, r.String()) }

// Plain is a request of the row's operation with nothing special about it.
func (r *Row) Plain() rows.Row { return *r.plain }

// Curl is a call in bash that makes the row come out by the header, of the server or space at the URL: a call of the
// operation that is right in all else, with the credentials of the fixtures.
func (r *Row) Curl(url string) string {
	url = strings.TrimRight(url, "/")
	from := r.plain
	words := []string{"curl", "-s", "-i"}
	if method := r.op.Method; method != http.MethodGet && (method != http.MethodPost || from.Body == nil) {
		words = append(words, "-X", method)
	}
	header := func(name, value string) { words = append(words, "-H", quoted(name+": "+value)) }
	header(rows.AskHeader, r.String())
	words = append(words, r.credentials(url)...)
	for _, name := range slices.Sorted(maps.Keys(from.Header)) {
		if name != http.CanonicalHeaderKey(from.Credentials().Key) && from.Header[name] != nil {
			header(name, from.Header.Get(name))
		}
	}
	if from.Body != nil {
		if from.ContentType != rows.MediaForm { // which curl says by itself
			header("Content-Type", from.ContentType)
		}
		body := from.Body
		if from.Sealed {
			body = from.Printed
		}
		words = append(words, "-d", quoted(string(body)))
	}
	return strings.Join(append(words, quoted(url+from.Path)), " ")
}

// credentials are the options of curl that show who calls.
func (r *Row) credentials(url string) (options []string) {
	shown := r.plain.Credentials()
	id := cmp.Or(rows.FixtureClient(r.Of.Doc), r.Contract) + "-sandbox"
	if shown.Key != "" {
		options = append(options, "-H", quoted(shown.Key+": "+id+"."+id+"-secret"))
	}
	if shown.Bearer {
		path := cmp.Or(rows.TokenPath(r.Of.Doc), "/oauth2/token")
		options = append(options, "-H", fmt.Sprintf(`"Authorization: Bearer $(curl -s -d grant_type=client_credentials -d client_id=%s -d client_secret=%s-secret %s | sed -E 's/.*"access_token":"([^"]+)".*/\1/')"`,
			id, id, quoted(url+path)))
	}
	return options
}

// quoted is a word as bash takes it literally.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
