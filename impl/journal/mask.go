package journal

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"pinvault/impl/contract"
	"pinvault/impl/pin"
)

// masked stands for what is secret.
const masked = "****"

// names are those of members, parameters and headers whose values are secret: in small letters, without what parts
// words.
type names map[string]bool

// everywhere are names that are secret whatever a document says, since callers use them where they are not described too.
var everywhere = []string{"authorization", "proxyauthorization", "cookie", "setcookie", "xapikey", "apikey", "password", "secret", "clientsecret",
	"accesstoken", "refreshtoken", "idtoken", "subjecttoken", "actortoken", "clientassertion", "assertion", "codeverifier", "dpop", "jwt",
	"passwd", "pwd", "passphrase", "privatekey", "signature", "sig", "sessionid", "authentication", "xauthtoken", "xcsrftoken", "xxsrftoken",
	"xamzsecuritytoken", "xvaulttoken", "xgoogapikey", "xfunctionskey", "ocpapimsubscriptionkey", "xforwardedclientcert", "xsignature",
	"pin", "newpin", "oldpin", "pinblock", "pan", "cardnumber", "cvv", "cvv2", "cvc", "pvv", "track2"}

// endings are those of names that are secret besides.
var endings = []string{"secret", "password", "apikey", "authtoken", "accesstoken", "sessiontoken"}

var separators = strings.NewReplacer("_", "", "-", "", ".", "")

func plain(name string) string { return separators.Replace(strings.ToLower(name)) }

// sentBy are the names under which the security schemes of documents have their keys sent: whoever sends one to another
// contract has sent it all the same.
func sentBy(documents ...*contract.Document) (all []string) {
	for _, d := range documents {
		if c := d.Spec().Components; c != nil {
			for _, scheme := range c.SecuritySchemes {
				if scheme.Value.Type == "apiKey" {
					all = append(all, plain(scheme.Value.Name))
				}
			}
		}
	}
	return all
}

// with are names and more.
func (n names) with(more []string) names {
	for _, name := range more {
		n[name] = true
	}
	return n
}

// namesOf are the names that documents say x-sensitive of, and those of API keys.
func namesOf(documents ...*contract.Document) names {
	all := names{}
	for _, name := range everywhere {
		all[name] = true
	}
	for _, d := range documents {
		s := sensitive{names: all, seen: map[*openapi3.Schema]bool{}}
		s.document(d)
	}
	return all.with(sentBy(documents...))
}

// sensitive collects names from a document.
type sensitive struct {
	names
	seen map[*openapi3.Schema]bool
}

const extension = "x-sensitive"

func (s *sensitive) document(d *contract.Document) {
	if c := d.Spec().Components; c != nil {
		for _, ref := range c.Schemas {
			s.schema(ref)
		}
	}
	for _, item := range d.Spec().Paths.Map() {
		s.parameters(item.Parameters)
		for _, op := range item.Operations() {
			s.parameters(op.Parameters)
			if op.RequestBody != nil {
				s.content(op.RequestBody.Value.Content)
			}
			for _, response := range op.Responses.Map() {
				s.content(response.Value.Content)
			}
		}
	}
}

func (s *sensitive) parameters(all openapi3.Parameters) {
	for _, p := range all {
		if p.Value.Extensions[extension] == true || is(p.Value.Schema) {
			s.names[plain(p.Value.Name)] = true
		}
		s.schema(p.Value.Schema)
	}
}

func (s *sensitive) content(all openapi3.Content) {
	for _, media := range all {
		s.schema(media.Schema)
	}
}

func (s *sensitive) schema(ref *openapi3.SchemaRef) {
	if ref == nil || ref.Value == nil || s.seen[ref.Value] {
		return
	}
	of := ref.Value
	s.seen[of] = true
	for name, member := range of.Properties {
		if is(member) {
			s.names[plain(name)] = true
		}
		s.schema(member)
	}
	for _, list := range []openapi3.SchemaRefs{of.OneOf, of.AnyOf, of.AllOf} {
		for _, one := range list {
			s.schema(one)
		}
	}
	s.schema(of.Items)
	s.schema(of.AdditionalProperties.Schema)
}

// is tells whether a schema is of what is secret.
func is(ref *openapi3.SchemaRef) bool {
	return ref != nil && (ref.Extensions[extension] == true || ref.Value != nil && ref.Value.Extensions[extension] == true)
}

// secret tells whether a value under a name is one: by the name or, since callers misspell, as what could be a PIN under
// a name that speaks of one.
func (n names) secret(name, value string) bool {
	name = plain(name)
	return n[name] || slices.ContainsFunc(endings, func(end string) bool { return strings.HasSuffix(name, end) }) || strings.Contains(name, "pin") && pinLike(value)
}

// pinLike tells whether a text could be a PIN.
func pinLike(text string) bool {
	return len(text) >= pin.MinLength && len(text) <= pin.MaxLength && digits(text)
}

func digits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// hidden is what is shown of a secret value: of a PAN its ends.
func hidden(value string) string {
	if isPAN(value) {
		return pin.MaskPAN(value)
	}
	return masked
}

// text masks what is secret wherever it stands: PANs, signed tokens, the secret of a link to the hosted page, keys and
// PIN blocks in capital hexadecimal.
func text(s string) string {
	if !suspicious(s) {
		return s
	}
	s = dotted.ReplaceAllStringFunc(s, func(found string) string {
		if strings.Count(found, ".") == 2 { // a signed token; one in five parts is sealed
			return masked
		}
		return found
	})
	s = fragment.ReplaceAllString(s, "#"+masked)
	s = hexadecimal.ReplaceAllStringFunc(s, func(found string) string {
		if digits(found) {
			return found
		}
		return masked
	})
	return pans(s)
}

var (
	dotted      = regexp.MustCompile(`eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)+`)
	fragment    = regexp.MustCompile(`#[A-Za-z0-9_-]{43}\b`)
	hexadecimal = regexp.MustCompile(`\b[0-9A-F]{16,}\b`)
)

// suspicious tells cheaply whether [text] could find anything.
func suspicious(s string) bool {
	run := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9' || c >= 'A' && c <= 'F':
			if run++; run >= shortestPAN {
				return true
			}
		case c == '#':
			return true
		case c != ' ' && c != '-':
			run = 0
		}
	}
	return strings.Contains(s, "eyJ")
}

// The lengths of PANs, in digits (ISO/IEC 7812-1); shorter ones cannot be told from other numbers.
const (
	shortestPAN = 13
	longestPAN  = 19
)

// number is digits, in one or in groups as on cards.
var number = regexp.MustCompile(`[0-9]{4}(?:[ -][0-9]{4,6}){2}(?:[ -][0-9]{1,7}){0,2}|[0-9]{13,}`)

// pans masks PANs: first six and last four digits stay.
func pans(s string) string {
	out := []byte(s)
	for _, found := range number.FindAllStringIndex(s, -1) {
		bare := groups.Replace(s[found[0]:found[1]])
		if len(bare) != found[1]-found[0] && partOf(s, found[0], found[1]) || !isPAN(bare) {
			continue
		}
		shown := pin.MaskPAN(bare)
		for i := found[0]; i < found[1]; i++ {
			if out[i] >= '0' && out[i] <= '9' {
				out[i], shown = shown[0], shown[1:]
			}
		}
	}
	return string(out)
}

// pins are PINs of the sandbox's cards, which stand for nothing else.
type pins map[string]bool

// aGroup is digits that could be a PIN.
var aGroup = regexp.MustCompile(`[0-9]{4,12}`)

// hide masks a PIN that is known wherever it stands for itself: not as a part of a number, a time, an id or an address.
func (p pins) hide(s string) string {
	if len(p) == 0 {
		return s
	}
	const joins = "-.:_+%"
	var out strings.Builder
	done := 0
	for _, at := range aGroup.FindAllStringIndex(s, -1) {
		begin, end := at[0], at[1]
		before, after := begin > 0 && (alphanumeric(s[begin-1]) || strings.IndexByte(joins, s[begin-1]) >= 0), end < len(s) && alphanumeric(s[end])
		if end+1 < len(s) && strings.IndexByte(joins, s[end]) >= 0 {
			after = alphanumeric(s[end+1])
		}
		if p[s[begin:end]] && !before && !after {
			out.WriteString(s[done:begin] + masked)
			done = end
		}
	}
	return out.String() + s[done:]
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

var groups = strings.NewReplacer(" ", "", "-", "")

// partOf tells whether groups of digits are a part of something longer, such as a UUID.
func partOf(s string, begin, end int) bool {
	joins := func(c byte) bool { return c == '-' || alphanumeric(c) }
	return begin > 0 && joins(s[begin-1]) || end < len(s) && joins(s[end])
}

// isPAN tells whether digits could be a PAN: their last one is right (ISO/IEC 7812-1, annex B), and they do not read as
// a time, as which every tenth of them would be right too.
func isPAN(s string) bool {
	if len(s) < shortestPAN || len(s) > longestPAN || !digits(s) {
		return false
	}
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0 && !isTime(s)
}

// isTime tells whether digits are a time to the second, or the millisecond, of this century or the last one.
func isTime(s string) bool {
	const second = "20060102150405"
	if len(s) != len(second) && len(s) != len(second)+3 || s[:2] != "19" && s[:2] != "20" {
		return false
	}
	_, err := time.Parse(second, s[:len(second)])
	return err == nil
}

// json masks a text that is, or was meant to be, JSON: it stays as it was written except for what is secret.
func (n names) json(s string) string {
	if bare := strings.Trim(s, " \t\r\n\""); pinLike(bare) {
		return strings.Replace(s, bare, masked, 1)
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '"' {
			next := strings.IndexByte(s[i:], '"')
			if next < 0 {
				next = len(s) - i
			}
			out.WriteString(s[i : i+next])
			i += next
			continue
		}
		end := stringEnd(s, i)
		literal := s[i:end]
		i = end
		at := skipBlanks(s, i)
		if at == len(s) || s[at] != ':' {
			out.WriteString(literalText(literal))
			continue
		}
		name := decoded(literal)
		if pinLike(name) {
			literal = quoted(masked)
		}
		out.WriteString(literalText(literal))
		at = skipBlanks(s, at+1)
		out.WriteString(s[i:at])
		end = valueEnd(s, at)
		if value := s[at:end]; n.secretValue(name, value) {
			out.WriteString(quoted(hidden(decoded(value))))
			i = end
		} else {
			i = at
		}
	}
	if !json.Valid([]byte(s)) {
		return n.loose(text(out.String()))
	}
	return text(out.String())
}

// secretValue is [names.secret] for a value as JSON has it. null, true and false are no secrets.
func (n names) secretValue(name, value string) bool {
	switch value {
	case "", "null", "true", "false", `""`:
		return false
	}
	return n.secret(name, decoded(value))
}

// stringEnd is where the JSON string that begins at i ends, behind its last quote.
func stringEnd(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

func skipBlanks(s string, i int) int {
	for i < len(s) && strings.IndexByte(" \t\r\n", s[i]) >= 0 {
		i++
	}
	return i
}

// valueEnd is where the JSON value that begins at i ends.
func valueEnd(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch c := s[i]; c {
		case '"':
			i = stringEnd(s, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return len(s)
}

// decoded is what a JSON string says, and any other literal as it stands.
func decoded(literal string) string {
	var value string
	if json.Unmarshal([]byte(literal), &value) != nil {
		return strings.Trim(literal, `"`)
	}
	return value
}

// literalText is a JSON string in which nothing is secret, however it is written.
func literalText(literal string) string {
	if !strings.Contains(literal, `\`) {
		return literal // it is looked through with the rest
	}
	value := decoded(literal)
	if shown := text(value); shown != value {
		return quoted(shown)
	}
	return literal
}

func quoted(value string) string {
	out, err := json.Marshal(value)
	if err != nil { // of a text
		return `"` + masked + `"`
	}
	return string(out)
}

// assigned is a name and its value in a text of no known form.
var assigned = regexp.MustCompile(`([A-Za-z0-9_.-]+)(["']?\s*[:=]\s*["']?)([^"'&,;\s{}\[\]]+)`)

// loose masks a text of no known form.
func (n names) loose(s string) string {
	if pinLike(strings.TrimSpace(s)) {
		return masked
	}
	return assigned.ReplaceAllStringFunc(text(s), func(found string) string {
		parts := assigned.FindStringSubmatch(found)
		if n.secret(parts[1], parts[3]) && parts[3] != "null" {
			return parts[1] + parts[2] + hidden(parts[3])
		}
		return found
	})
}

// form masks a form or a query, which stays as it was written except for what is secret.
func (n names) form(s string) string {
	if s == "" {
		return ""
	}
	pairs := strings.Split(s, "&")
	for i, pair := range pairs {
		name, value, assigned := strings.Cut(pair, "=")
		switch written := unescaped(value); {
		case !assigned:
			pairs[i] = escapedText(pair)
		case value != "" && n.secret(unescaped(name), written):
			pairs[i] = name + "=" + hidden(written)
		default:
			pairs[i] = escapedText(name) + "=" + escapedText(value)
		}
	}
	return strings.Join(pairs, "&")
}

func unescaped(s string) string {
	value, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return value
}

// escapedText is a part of a form or a query in which nothing is secret.
func escapedText(s string) string {
	value := unescaped(s)
	if shown := text(value); shown != value {
		return strings.ReplaceAll(url.QueryEscape(shown), "%2A", "*")
	}
	return s
}

// path masks a path and its query.
func (n names) path(s string) string {
	path, query, asked := strings.Cut(s, "?")
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		value, err := url.PathUnescape(segment)
		if err != nil {
			value = segment
		}
		if shown := text(value); shown != value {
			segments[i] = strings.ReplaceAll(url.PathEscape(shown), "%2A", "*")
		}
	}
	path = strings.Join(segments, "/")
	if !asked {
		return path
	}
	return path + "?" + n.form(query)
}

// headerValue masks a header's value. Of credentials it is said of which kind they are, and of cookies their names.
func (n names) headerValue(name, value string) string {
	switch key := plain(name); {
	case key == "authorization" || key == "proxyauthorization":
		if scheme, _, two := strings.Cut(value, " "); two && letters(scheme) {
			return scheme + " " + masked
		}
		return masked
	case key == "cookie":
		return cookies(value, -1)
	case key == "setcookie":
		return cookies(value, 1)
	case value != "" && n.secret(name, value):
		return hidden(value)
	}
	return text(value)
}

func letters(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) < 0
}

// cookies masks the values of the first cookies, of all where count is -1; what follows are attributes.
func cookies(value string, count int) string {
	parts := strings.Split(value, ";")
	for i, part := range parts {
		if count >= 0 && i >= count {
			break
		}
		if name, _, assigned := strings.Cut(part, "="); assigned {
			parts[i] = name + "=" + masked
		} else {
			parts[i] = masked
		}
	}
	return strings.Join(parts, ";")
}
