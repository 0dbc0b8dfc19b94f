package app_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/keyring"
	"pinvault/impl/pinblock"
	"pinvault/impl/rows"
)

// What a card makes come out by itself is what the sandbox's document says: every contract is called with each card that
// has a fate, in place of the one that its examples name, and all else is right.
func TestCardsHaveTheFateThatTheDocumentSays(t *testing.T) {
	t.Parallel()
	fates, err := rows.Fates(apptest.Documents(t)["sandbox"])
	require.NoError(t, err)
	require.NotEmpty(t, fates)
	p := newPartners(t, "")
	for _, fate := range fates {
		t.Run(fate.Card, func(t *testing.T) {
			p.t = t
			require.Contains(t, p.cards, fate.Card, "it is a card of the fixtures")
			got := map[string][]string{}
			for _, name := range p.contracts() {
				if found := p.fated(name, fate); len(found) > 0 {
					got[name] = found
				}
			}
			want, err := json.Marshal(fate.Rows)
			require.NoError(t, err)
			told, err := json.Marshal(got)
			require.NoError(t, err)
			require.JSONEq(t, string(want), string(told), "rows: %s", flow(got))
		})
	}
}

// flow is how the document writes the rows of a fate.
func flow(all map[string][]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, name+": ["+strings.Join(all[name], ", ")+"]")
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// partners calls a sandbox's contracts with their examples' requests, changed.
type partners struct {
	*apptest.Server
	t       testing.TB
	clients map[string]map[string]any
	cards   map[string]map[string]any
	tokens  map[string]string
	usual   map[string]string // the outcomes of calls with the card "normal", by contract and row
}

func newPartners(t testing.TB, url string) *partners {
	t.Helper()
	p := &partners{Server: apptest.Start(t, url), t: t, tokens: map[string]string{}, usual: map[string]string{}}
	var fixtures struct{ Clients, Cards map[string]map[string]any }
	reply := p.Client.For(t).Do(http.MethodGet, "/sandbox/fixtures").ExpectStatus(http.StatusOK)
	require.NoError(t, json.Unmarshal(reply.Body, &fixtures))
	p.clients, p.cards = fixtures.Clients, fixtures.Cards
	return p
}

// contracts are those by which cards are reached.
func (p *partners) contracts() (names []string) {
	for name := range apptest.Documents(p.t) {
		if p.clients[name] != nil {
			names = append(names, name)
		}
	}
	return slices.Sorted(slices.Values(names))
}

// fated are the rows that come out of the contract's plain calls once they name a card with a fate, in the document's order.
func (p *partners) fated(name string, fate rows.Fate) (found []string) {
	all, err := rows.All(apptest.Documents(p.t)[name])
	require.NoError(p.t, err)
	for _, row := range all {
		if row.Reply.Status >= 300 || row.Raw || row.Authorization != "" || row.Session != nil || row.After != nil || len(row.Override) > 0 {
			continue
		}
		if row.Sealed && name != "accosa" {
			continue // by a key of its own, and it shows nothing that a clear one does not
		}
		with, ok := p.naming(row, p.cards[fate.Card])
		if !ok {
			continue
		}
		out := p.outcome(name, row, with, all, fate)
		if out != "" && out != p.usually(name, row, all) && !slices.Contains(found, out) {
			found = append(found, out)
		}
	}
	return found
}

// usually is the outcome of the row's call with the card "normal".
func (p *partners) usually(name string, row rows.Row, all []rows.Row) string {
	key := name + " " + row.String()
	if out, known := p.usual[key]; known {
		return out
	}
	with, _ := p.naming(row, p.cards["normal"])
	p.usual[key] = p.outcome(name, row, with, all, rows.Fate{Card: "normal"})
	return p.usual[key]
}

// outcome is the row that a call came to, "" for a success that shows what no row does.
func (p *partners) outcome(name string, row, sent rows.Row, all []rows.Row, fate rows.Fate) string {
	p.Reset(p.t)
	slept := p.Clock.Slept()
	status, header, body, sealed := p.send(name, sent)
	require.Equal(p.t, time.Duration(fate.DelayMs)*time.Millisecond, p.Clock.Slept()-slept, "%s with the card %s", row, fate.Card)
	candidates := map[string]int{}
	for _, r := range all {
		exact := len(contracttest.Differences(r, status, header, body)) == 0
		if r.Operation != row.Operation || r.Authorization != "" || r.After != nil || r.Session != nil || r.Reply.Sealed != sealed ||
			!exact && !p.alike(name, r, status, body) {
			continue
		}
		if r.Step == row.Step {
			return row.String()
		}
		candidates[r.String()] = p.unlikely(r, fate)
		if !exact {
			candidates[r.String()]++
		}
	}
	if len(candidates) == 0 {
		require.Equal(p.t, row.Reply.Status, status, "%s with the card %s is answered with no documented row: %s", row, fate.Card, body)
		return ""
	}
	return slices.MinFunc(slices.Sorted(maps.Keys(candidates)), func(a, b string) int { return candidates[a] - candidates[b] })
}

// unlikely is how far a row is from being about a card with a fate, of several rows with one reply.
func (p *partners) unlikely(r rows.Row, fate rows.Fate) (n int) {
	switch status := p.cards[fate.Card]["status"]; {
	case fate.Fault != "":
		if strings.TrimSuffix(r.Fault, "-later") != fate.Fault {
			n += 2
		}
	case names(r, p.cards[fate.Card]):
	case status != "normal" && slices.ContainsFunc(slices.Collect(maps.Values(p.cards)), func(c map[string]any) bool { return c["status"] == status && names(r, c) }):
		n += 2
	default:
		n += 4
	}
	if r.Raw || r.Fault != "" && fate.Fault == "" {
		n += 10
	}
	return n
}

// alike tells whether a reply is that of a row, but for what it repeats of its request.
func (p *partners) alike(name string, r rows.Row, status int, body []byte) bool {
	told, err := rows.ErrorReferenceOf(apptest.Documents(p.t)[name])
	require.NoError(p.t, err)
	got, err := rows.DecodeJSON(body)
	want, werr := rows.DecodeJSON(r.Reply.Body)
	return err == nil && werr == nil && status == r.Reply.Status && told.CodeOf(got) != "" && told.CodeOf(got) == told.CodeOf(want) && told.TextOf(got) == told.TextOf(want)
}

// names tells whether a row's own request names the card.
func names(r rows.Row, card map[string]any) bool {
	text := r.Path + string(r.Body) + fmt.Sprint(r.Header)
	return slices.ContainsFunc(references, func(member string) bool {
		value, _ := card[member].(string)
		return value != "" && strings.Contains(text, value)
	})
}

// references are the members of a card in the fixtures that name it alone.
var references = []string{"cardId", "pan", "publicToken", "urn", "customerReference", "customerId", "mobileNumber", "emailAddress",
	"identifier", "packID", "number", "alias", "cardholderId", "walletId", "hashdtCardId", "exid", "contractNumber"}

// naming is a row whose request names another card in the place of one that is healthy, and has its PIN and dates; false
// where it names none, or has a PIN block that cannot be made another card's.
func (p *partners) naming(row rows.Row, card map[string]any) (rows.Row, bool) {
	for _, healthy := range []string{"normal", "second", "third", "unchosen"} {
		if !names(row, p.cards[healthy]) {
			continue
		}
		from, to := p.cards[healthy], map[string]string{}
		for _, member := range append([]string{"last4Digits", "pin", "expiry", "devicePlanCode", "cardProfileId"}, references...) {
			before, _ := from[member].(string)
			after, _ := card[member].(string)
			if before != "" && after != "" {
				to[before] = after
			}
		}
		for _, key := range []string{"issuer", "networkintl"} {
			for before, after := range map[string]string{from["pin"].(string): card["pin"].(string), "4826": "4826", "1234": "1234"} {
				if after != "" {
					to[p.block(key, before, from["pan"].(string))] = p.block(key, after, card["pan"].(string))
				}
			}
		}
		return replaced(row, to)
	}
	return row, false
}

func (p *partners) block(client, digits, pan string) string {
	return apptest.PINBlock(p.t, pinblock.NewTDES, p.clients[client]["zpk_hex"].(string), pinblock.ISO0, digits, pan)
}

var aBlock = regexp.MustCompile(`^[0-9A-F]{16}$|^[0-9A-F]{32,}$`)

// replaced is a row whose request has other values; false where a PIN block has none.
func replaced(row rows.Row, to map[string]string) (rows.Row, bool) {
	whole := true
	value := func(text string) string {
		if other, ok := to[text]; ok {
			return other
		}
		if other, ok := to[strings.TrimPrefix(text, "+")]; ok {
			return "+" + other
		}
		whole = whole && !aBlock.MatchString(text)
		return text
	}
	var within func(any) any
	within = func(v any) any {
		switch v := v.(type) {
		case string:
			return value(v)
		case float64:
			number, err := strconv.ParseFloat(value(strconv.FormatFloat(v, 'f', -1, 64)), 64)
			if err == nil {
				return number
			}
		case map[string]any:
			for name, member := range v {
				v[name] = within(member)
			}
		case []any:
			for i, item := range v {
				v[i] = within(item)
			}
		}
		return v
	}
	path, query, _ := strings.Cut(row.Path, "?")
	segments := strings.Split(path, "/")
	for i := range segments {
		segments[i] = value(segments[i])
	}
	row.Path = strings.Join(segments, "/")
	if asked, err := url.ParseQuery(query); err == nil && query != "" {
		for name := range asked {
			asked.Set(name, value(asked.Get(name)))
		}
		row.Path += "?" + asked.Encode()
	}
	row.Header = row.Header.Clone()
	for name := range row.Header {
		row.Header.Set(name, value(row.Header.Get(name)))
	}
	if sent, err := rows.DecodeJSON(row.Body); err == nil && row.Body != nil {
		row.Body, _ = json.Marshal(within(sent))
	}
	return row, whole
}

// send sends a row's request as the contract's client of the fixtures, with more besides, and returns the reply, opened.
func (p *partners) send(name string, row rows.Row, more ...contracttest.Option) (status int, header http.Header, body []byte, sealed bool) {
	options := []contracttest.Option{}
	for header, values := range row.Header {
		options = append(options, contracttest.Repeated(header, values...))
	}
	options = append(options, p.credentials(name, row)...)
	if row.Body != nil {
		sent := string(row.Body)
		switch {
		case row.Sealed && name == "accosa":
			sent = p.sealed(name, sent)
		case row.Sealed:
			sent = string(row.Printed)
		}
		options = append(options, contracttest.Raw(row.ContentType, sent))
	}
	reply := p.Client.For(p.t).Do(row.Method, row.Path, append(options, more...)...)
	body = p.opened(name, reply.Body)
	return reply.Status, reply.Header, body, !bytes.Equal(body, reply.Body)
}

// credentials are those of the contract's client.
func (p *partners) credentials(name string, row rows.Row) []contracttest.Option {
	client := p.clients[name]
	if row.Public {
		return nil
	}
	if key, ok := client["x-api-key"].(string); ok {
		return []contracttest.Option{contracttest.Header("x-api-key", key)}
	}
	if p.tokens[name] == "" {
		p.tokens[name] = p.Mint(p.t, client["client_id"].(string), 24*time.Hour)
	}
	return []contracttest.Option{contracttest.Bearer(p.tokens[name])}
}

func (p *partners) tokenKey(name string) *keyring.TokenKey {
	raw, err := hex.DecodeString(p.clients[name]["key_hex"].(string))
	require.NoError(p.t, err)
	key, err := keyring.NewTokenKey(raw, nil)
	require.NoError(p.t, err)
	return key
}
