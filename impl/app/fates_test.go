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
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/rows"
)

// What a card or a PIN makes come out by itself is what the sandbox's document says: every contract is called with each card
// and PIN that has a fate, in place of the one that its examples name, and all else is right.
func TestCardsAndPINsHaveTheFateThatTheDocumentSays(t *testing.T) {
	t.Parallel()
	fates, err := rows.Fates(apptest.Documents(t)["sandbox"])
	require.NoError(t, err)
	require.NotEmpty(t, fates)
	p := newPartners(t, "")
	for _, fate := range fates {
		t.Run(fate.ID(), func(t *testing.T) {
			p.t = t
			find := p.fated
			if fate.PIN != "" {
				find = p.offered
			} else {
				require.Contains(t, p.cards, fate.Card, "it is a card of the fixtures")
			}
			got := map[string][]string{}
			for _, name := range append(p.contracts(), "hosted") {
				if found := find(name, fate); len(found) > 0 {
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
	calls   int               // so far, where a call must differ from those before
	usual   map[string]string // the outcomes of calls with the card "normal", by contract and row
}

func newPartners(t testing.TB, url string) *partners {
	t.Helper()
	return partnersOf(t, apptest.Start(t, url))
}

func partnersOf(t testing.TB, server *apptest.Server) *partners {
	t.Helper()
	p := &partners{Server: server, t: t, tokens: map[string]string{}, usual: map[string]string{}}
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
		if cardless[row.Operation] || row.Reply.Status >= 300 || row.Raw || row.Authorization != "" || row.Session != nil || row.After != nil || len(row.Override) > 0 {
			continue
		}
		if row.Sealed && name != "accosa" {
			continue // by a key of its own, and it shows nothing that a clear one does not
		}
		with, ok := p.naming(row, p.cards[fate.Card])
		if !ok {
			continue
		}
		out := p.outcome(name, row, with, all, fate, "")
		named := p.named()
		if out != "" && out != p.usually(name, row, all) {
			require.Contains(p.t, fate.Rows[name], named, "in the journal, of %s", row)
			if !slices.Contains(found, out) {
				found = append(found, out)
			}
		}
	}
	return found
}

// cardless are operations that are told a PAN and look at no card.
var cardless = map[string]bool{"translatePinBlock": true}

// offered are the rows that come out of the contract's plain calls once they offer a PIN with a fate, in the document's
// order: as one that was chosen, and as the card's, which it then is.
func (p *partners) offered(name string, fate rows.Fate) (found []string) {
	all, err := rows.All(apptest.Documents(p.t)[name])
	require.NoError(p.t, err)
	told, err := rows.ErrorReferenceOf(apptest.Documents(p.t)[name])
	require.NoError(p.t, err)
	for _, row := range all {
		if cardless[row.Operation] || row.Raw || row.Authorization != "" || row.After != nil || len(row.Override) > 0 || row.Sealed && name != "accosa" || !succeeds(row, told) {
			continue
		}
		for _, o := range p.offering(row, fate.PIN) {
			out := p.outcome(name, row, o.row, all, fate, o.card)
			if out == "" || out == row.String() {
				continue
			}
			require.Contains(p.t, fate.Rows[name], p.named(), "in the journal, of %s", row)
			if !slices.Contains(found, out) {
				found = append(found, out)
			}
		}
	}
	return found
}

// succeeds tells whether a row is of what was done.
func succeeds(r rows.Row, told rows.ErrorReference) bool {
	reply, _ := r.Reply.Decode(r.Reply.Body) // of no body nothing
	return r.Reply.Status < 300 && told.Advice[told.CodeOf(reply)] == ""
}

// named is the row that the journal names of the latest call.
func (p *partners) named() string {
	row, _ := p.Client.For(p.t).Do(http.MethodGet, "/sandbox/journal?limit=1").ExpectStatus(http.StatusOK).JSON("/entries/0/row").(string)
	return row
}

// offer is a row that offers another PIN than it does in its document: a card's, by its name, or one that was chosen.
type offer struct {
	row  rows.Row
	card string
}

// offering are the offers that can be made of a row: each of its PINs, one at a time, is another.
func (p *partners) offering(row rows.Row, digits string) (all []offer) {
	if row.Session != nil {
		of, own := row.Session.Message["for"], p.cards["normal"]["pin"]
		if of == "new" || of == "current" && row.Session.Message["pin"] == own {
			session := *row.Session
			session.Message = map[string]any{"for": of, "pin": digits}
			row.Session = &session
			all = append(all, offer{row, map[any]string{"current": "normal"}[of]})
		}
		return all
	}
	for _, healthy := range []string{"normal", "second", "third", "unchosen"} {
		if card := p.cards[healthy]; names(row, card) {
			own := card["pin"].(string)
			for _, known := range []string{own, "4826", "0000", "0042", "48261", "121200", "1212"} {
				to := map[string]string{known: digits}
				for _, client := range []string{"issuer", "networkintl"} {
					to[p.block(client, known, card["pan"].(string))] = p.block(client, digits, card["pan"].(string))
				}
				if other, _ := replaced(row, to); string(other.Body) != string(row.Body) {
					all = append(all, offer{other, map[bool]string{true: healthy}[known == own]})
				}
			}
			return all
		}
	}
	return nil
}

// give makes a PIN a card's behind the back of its fate.
func (p *partners) give(card, digits string) {
	chosen, err := pin.New([]byte(digits))
	require.NoError(p.t, err)
	require.NoError(p.t, p.Vault.SetPIN(apptest.Operating(p.t), pin.Query{CardID: p.cards[card]["cardId"].(string)}, pin.Plain(chosen), pin.Memo{}))
}

// usually is the outcome of the row's call with the card "normal".
func (p *partners) usually(name string, row rows.Row, all []rows.Row) string {
	key := name + " " + row.String()
	if out, known := p.usual[key]; known {
		return out
	}
	with, _ := p.naming(row, p.cards["normal"])
	p.usual[key] = p.outcome(name, row, with, all, rows.Fate{Card: "normal"}, "")
	return p.usual[key]
}

// outcome is the row that a call came to, "" for a success that shows what no row does. A card may have its fate's PIN.
func (p *partners) outcome(name string, row, sent rows.Row, all []rows.Row, fate rows.Fate, withPIN string) string {
	p.Reset(p.t)
	if withPIN != "" {
		p.give(withPIN, fate.PIN)
	}
	slept := p.Clock.Slept()
	if sent.Session != nil {
		sent = apptest.Begun(p.t, p.Client, sent)
	}
	status, header, body, sealed := p.send(name, sent)
	require.Equal(p.t, time.Duration(fate.DelayMs)*time.Millisecond, p.Clock.Slept()-slept, "%s with %s", row, fate.ID())
	candidates := map[string]int{}
	for _, r := range all {
		exact := len(contracttest.Differences(r, status, header, body)) == 0
		if r.Operation != row.Operation || r.Authorization != "" || r.After != nil || r.Session != nil && row.Session == nil || r.Reply.Sealed != sealed ||
			!exact && !p.alike(name, r, status, body) {
			continue
		}
		if r.Step == row.Step {
			return row.String()
		}
		candidates[r.String()] = p.unlikely(name, r, fate)
		if !exact {
			candidates[r.String()]++
		}
	}
	if len(candidates) == 0 {
		require.Equal(p.t, row.Reply.Status, status, "%s with %s is answered with no documented row: %s", row, fate.ID(), body)
		return ""
	}
	return slices.MinFunc(slices.Sorted(maps.Keys(candidates)), func(a, b string) int { return candidates[a] - candidates[b] })
}

// unlikely is how far a row is from being about a card with a fate, of several rows with one reply.
func (p *partners) unlikely(name string, r rows.Row, fate rows.Fate) (n int) {
	switch status := p.cards[fate.Card]["status"]; {
	case fate.PIN != "": // which many rows are about: the document's word is taken where it can be
		if !slices.Contains(fate.Rows[name], r.String()) {
			n += 4
		}
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

// alike tells whether a reply is that of a row, except for what it repeats of its request.
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
	var iv []byte
	if fixed, ok := p.clients[name]["iv_hex"].(string); ok {
		iv, err = hex.DecodeString(fixed)
		require.NoError(p.t, err)
	}
	key, err := keyring.NewTokenKey(raw, iv)
	require.NoError(p.t, err)
	return key
}
