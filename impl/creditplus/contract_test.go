package creditplus_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/rows"
	"pinvault/impl/space"
	"pinvault/impl/store/storetest"
)

const (
	pathV2 = "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter"
	pathV1 = "/deviceapi/apis/v1/services/helpdesk/resetpinretrycounter"

	jose = "application/jose"
)

// message is a Credit+ request; a field that is not in it is not sent.
type message map[string]any

// with is the message with other fields; notSent takes a field out.
func (m message) with(fields message) message {
	out := maps.Clone(m)
	maps.Copy(out, fields)
	maps.DeleteFunc(out, func(_ string, value any) bool { return value == notSent })
	return out
}

const notSent = "\x00absent"

// helpdesk calls a sandbox server as Credit+'s clients do.
type helpdesk struct {
	*apptest.Server
	fixtures *contracttest.Reply
	tokens   map[string]string
	base     message // a good request
}

func newHelpdesk(t testing.TB, h *apptest.Server) *helpdesk {
	t.Helper()
	d := &helpdesk{Server: h, tokens: map[string]string{}, base: message{
		"timestamp": "2026-01-15T12:00:00.000+00:00", "dataValidUntilTimestamp": "2026-01-15T12:05:00.000+00:00", "identifier": "DEVICE0000000001",
	}}
	d.fixtures = h.Client.For(t).Do(http.MethodGet, "/sandbox/fixtures").ExpectStatus(http.StatusOK)
	for _, client := range []string{"creditplus", "creditplus_encrypted_only", "creditplus_no_alias", "creditplus_window"} {
		d.tokens[client] = h.Mint(t, client+"-sandbox", 24*time.Hour)
	}
	return d
}

// sealed encrypts a message under a key of a client: "key", or "next_key" for the one that follows it.
func (d *helpdesk) sealed(t testing.TB, client, key string, text []byte, options ...jwe.EncryptOption) string {
	t.Helper()
	raw, err := hex.DecodeString(d.fixtures.Text("/clients/" + client + "/" + key + "_hex"))
	require.NoError(t, err)
	header := jwe.NewHeaders()
	require.NoError(t, header.Set(jwe.KeyIDKey, d.fixtures.Text("/clients/"+client+"/"+key+"_id")))
	out, err := jwe.Encrypt(text, append(options, jwe.WithKey(jwa.DIRECT(), raw), jwe.WithContentEncryption(jwa.A256GCM()), jwe.WithProtectedHeaders(header))...)
	require.NoError(t, err)
	return string(out)
}

// ask sends a V2 request in clear, ends in its reply.
func (d *helpdesk) ask(t testing.TB, client string, m any, options ...contracttest.Option) *contracttest.Reply {
	t.Helper()
	return d.Client.For(t).Do(http.MethodPost, pathV2, append([]contracttest.Option{contracttest.Bearer(d.tokens[client]), contracttest.JSON(m)}, options...)...)
}

// answer is a V2 reply as the error table has it.
type answer struct {
	Status      int    `json:"-"`
	Code        string `json:"code"`
	Description string `json:"description"`
	Details     string `json:"details"`
}

func answerOf(t require.TestingT, r *contracttest.Reply) answer {
	a := answer{Status: r.Status}
	require.NoError(t, json.Unmarshal(r.Body, &a), "%s", r.Body)
	return a
}

// text is a message as JSON.
func (*helpdesk) text(t testing.TB, m any) []byte {
	t.Helper()
	out, err := json.Marshal(m)
	require.NoError(t, err)
	return out
}

// printed are the JWEs of the document's examples, by name.
func printed(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, e := range apptest.Documents(t)["creditplus"].Paths.Value(pathV2).Post.RequestBody.Value.Content[jose].Examples {
		all[name] = e.Value.Value.(string)
	}
	return all
}

// Every named example of the document comes out of a running server as it is written down; of those that are
// sealed, what is printed is sent. Replies are clear.
func TestEveryDocumentedExampleComesOut(t *testing.T) {
	t.Parallel()
	env := apptest.Start(t, "").Env("creditplus")
	env.Transform = func(t testing.TB, c contracttest.Conversation, body []byte) ([]byte, string) {
		t.Helper()
		if c.Sealed {
			body = []byte(printed(t)[c.Example])
		}
		return body, c.ContentType
	}
	apptest.Examples(t, "creditplus", env, nil)
}

// The rows of both versions as the contract has them.
var (
	resetDone     = answer{http.StatusOK, "OK", "The server has successfully processed your request.", ""}
	noSelector    = answer{400, "ERR_CODE_MISSING_REQUIRED_FIELD", "Missing Required Field identifier or packID or alias or number.", ""}
	noTimestamp   = answer{400, "MISSING_REQUIRED_FIELD", "Missing Required Field 'timestamp'.", ""}
	noValidity    = answer{400, "MISSING_REQUIRED_FIELD", "Missing Required Field 'DataValidUntilTimestamp'.", ""}
	packIDSize    = answer{400, "INVALID_FIELD_LENGTH", "Card Pack ID size must be between 10 and 24.", ""}
	idSize        = answer{400, "INVALID_FIELD_LENGTH", "Identifier size must be between 14 and 28.", ""}
	programSize   = answer{400, "INVALID_FIELD_LENGTH", "Program Code size must be between 1 and 10.", ""}
	planSize      = answer{400, "INVALID_FIELD_LENGTH", "Device Plan Code size must be between 1 and 10.", ""}
	aliasSize     = answer{400, "INVALID_FIELD_LENGTH", "Alias size must be between 1 and 24.", ""}
	notesSize     = answer{400, "INVALID_FIELD_LENGTH", "Notes size must be between 1 and 24.", ""}
	numberSize    = answer{400, "INVALID_FIELD_LENGTH", "Number size must be between 10 and 24.", ""}
	sourceFormat  = answer{400, "INVALID_FIELD_FORMAT", "Incorrect value for field Source.", ""}
	bodyFormat    = answer{400, "INVALID_FIELD_FORMAT", "Incorrect value for field body.", ""}
	inPast        = answer{400, "TIMESTAMP_ERROR", "Request timestamp is in past.", ""}
	inFuture      = answer{400, "TIMESTAMP_ERROR", "Request timestamp is in future.", ""}
	noRecord      = answer{400, "RECORD_NOT_FOUND", "Record not found for given search criteria.", ""}
	manyRecords   = answer{400, "UNIQUE_RECORD_NOT_FOUND", "Multiple records found for given search criteria.", ""}
	statusRefused = answer{400, "DEVICE_STATUS_NOT_SUPPORTED", "Device, Operation not permitted", ""}
	noAliases     = answer{500, "ALIAS_CAPABILITY_NOT_ENABLED", "Alias capability not enabled.", ""}
	unauthorized  = answer{403, "AUTHORIZATION_ERROR", "User is not authorized to access requested resource.", ""}
	undeciphered  = answer{400, "CRYPTOGRAPHY_ERROR", "Error occurred while decryption of the encrypted request payload.", ""}
)

func badFormat(field string) answer {
	return answer{400, "INVALID_FIELD_FORMAT", "Incorrect value for field " + field + ".", ""}
}

func badValue(field, echo string) answer {
	return answer{400, "INVALID_FIELD_VALUE", "'" + field + "' field value '" + echo + "' is invalid.", ""}
}

// of is a row for times with its details.
func (a answer) of(field, value, is string) answer {
	a.Details = "Request timestamp of '" + field + "' field value '" + value + "' is " + is
	return a
}

func expiredAt(until string) answer { return inPast.of("dataValidUntilTimestamp", until, "in past") }
func madeTooSoon(at string) answer  { return inPast.of("timestamp", at, "in past") }
func madeTooLate(at string) answer  { return inFuture.of("timestamp", at, "in future") }
func goodTooLong(until string) answer {
	return inFuture.of("dataValidUntilTimestamp", until, "more than 24 hours after timestamp")
}

// Each row that the partner documents is an example of the document, and so comes out of a server.
func TestShowsEveryDocumentedRow(t *testing.T) {
	t.Parallel()
	shown := map[string]map[string]bool{}
	conversations, err := rows.All(apptest.Documents(t)["creditplus"])
	require.NoError(t, err)
	for _, c := range conversations {
		var reply struct{ Code, Description, Reason string }
		require.NoError(t, json.Unmarshal(c.Reply.Body, &reply))
		if shown[c.Operation] == nil {
			shown[c.Operation] = map[string]bool{}
		}
		shown[c.Operation][fmt.Sprint(c.Reply.Status, " ", reply.Code, " ", reply.Description, reply.Reason)] = true
	}
	v2 := []answer{resetDone, noSelector, noTimestamp, noValidity, packIDSize, idSize, programSize, planSize, aliasSize, notesSize, sourceFormat,
		badValue("identifier", "DEVICE 000000001"), badValue("packID", "PACK/0000001"), badValue("alias", "ALIAS-0001"), badValue("number", "****"),
		inPast, noRecord, manyRecords, statusRefused, noAliases, unauthorized, undeciphered}
	for _, row := range v2 {
		require.True(t, shown["resetPinRetryCounterV2"][fmt.Sprint(row.Status, " ", row.Code, " ", row.Description)], "%v", row)
	}
	for _, row := range []string{
		"201 CCRBO0004 Request processed successfully",
		"400 997 Reset Pin Retry Counter failed: invalid request",
		"400 997 Request Date should be less than or equal to institution date.",
		"400 997 Request Date field must be in MM/dd/yyyy HH:mm:ss format.",
		"403 900 Invalid User",
		"404 998 Device(s) does not exist",
		"404 998 NO_DEVICE_ERROR",
		"500 999 Invalid Request Type",
		"500 RP101 DEVICE_ERROR",
		"400 RP102 Invalid Device Plan.",
		"500 RP103 Error while retrieving data from device plan",
		"500 RP107 Error while executing Retry pin reset counter through AP",
		"400 HDE050 Institution code is mandatory",
		"400 HDE051 Device number is mandatory",
		"400 HDE052 Service code is mandatory.",
		"400 HDE053 Error in fetching data from service_code_mst.",
		"400 HDE100 Device is not in normal state",
		"400 HDE006 Invalid Device Number",
	} {
		require.True(t, shown["resetPinRetryCounterV1"][row], row)
	}
}

// fault is something wrong with a request: what it touches, how, and the row that it leads to. Two
// that touch the same thing cannot occur together.
type fault struct {
	name    string
	touches []string
	fields  message
	client  string
	header  contracttest.Option
	row     answer
}

// violations come in the documented order.
var violations = []fault{
	{name: "no bearer", touches: []string{"authorization", "client"}, header: contracttest.Header("Authorization", ""), row: unauthorized},
	{name: "another algorithm", touches: []string{"header"}, header: contracttest.Header("Encryption-Algorithm", "A128GCM"), row: undeciphered},
	{name: "clear where it may not be", touches: []string{"client"}, client: "creditplus_encrypted_only", row: undeciphered},
	{name: "no selector", touches: []string{"identifier", "packID", "alias", "number"}, fields: message{"identifier": notSent}, row: noSelector},
	{name: "no timestamp", touches: []string{"timestamp"}, fields: message{"timestamp": notSent}, row: noTimestamp},
	{name: "no validity", touches: []string{"validity"}, fields: message{"dataValidUntilTimestamp": nil}, row: noValidity},
	{name: "length of pack id", touches: []string{"packID"}, fields: message{"packID": "P"}, row: packIDSize},
	{name: "length of identifier", touches: []string{"identifier"}, fields: message{"identifier": "!"}, row: idSize},
	{name: "length of program code", touches: []string{"programCode"}, fields: message{"programCode": "PROGRAM0001"}, row: programSize},
	{name: "length of device plan code", touches: []string{"devicePlanCode"}, fields: message{"devicePlanCode": ""}, row: planSize},
	{name: "length of alias", touches: []string{"alias"}, fields: message{"alias": strings.Repeat("a", 25)}, row: aliasSize},
	{name: "length of notes", touches: []string{"notes"}, fields: message{"notes": strings.Repeat("🙂", 25)}, row: notesSize},
	{name: "length of number", touches: []string{"number"}, fields: message{"number": "1"}, row: numberSize},
	{name: "source", touches: []string{"source"}, fields: message{"source": "FAX"}, row: sourceFormat},
	{name: "characters of identifier", touches: []string{"identifier"}, fields: message{"identifier": "DEVICE+000000001"}, row: badValue("identifier", "DEVICE+000000001")},
	{name: "characters of pack id", touches: []string{"packID"}, fields: message{"packID": "PACK+00000001"}, row: badValue("packID", "PACK+00000001")},
	{name: "characters of alias", touches: []string{"alias"}, fields: message{"alias": "ALIAS-1"}, row: badValue("alias", "ALIAS-1")},
	{name: "characters of number", touches: []string{"number"}, fields: message{"number": "5000000000000X"}, row: badValue("number", "****")},
	{name: "characters of program code", touches: []string{"programCode"}, fields: message{"programCode": "_"}, row: badValue("programCode", "_")},
	{name: "characters of device plan code", touches: []string{"devicePlanCode"}, fields: message{"devicePlanCode": "plan"}, row: badValue("devicePlanCode", "plan")},
	{name: "form of timestamp", touches: []string{"timestamp"}, fields: message{"timestamp": "now"}, row: badFormat("timestamp")},
	{name: "form of validity", touches: []string{"validity"}, fields: message{"dataValidUntilTimestamp": "2026-01-15"}, row: badFormat("dataValidUntilTimestamp")},
	{name: "characters of notes", touches: []string{"notes"}, fields: message{"notes": "\x01"}, row: badFormat("Notes")},
	{name: "expiry", touches: []string{"validity"}, fields: message{"dataValidUntilTimestamp": "2026-01-15T11:59:59.999Z"}, row: expiredAt("2026-01-15T11:59:59.999Z")},
	{name: "made before the window", touches: []string{"client", "timestamp"}, client: "creditplus_window", fields: message{"timestamp": "2026-01-15T11:44:59.999Z"}, row: madeTooSoon("2026-01-15T11:44:59.999Z")},
	{name: "made after the window", touches: []string{"client", "timestamp"}, client: "creditplus_window", fields: message{"timestamp": "2026-01-15T12:15:00.001Z"}, row: madeTooLate("2026-01-15T12:15:00.001Z")},
	{name: "good for too long", touches: []string{"validity"}, fields: message{"dataValidUntilTimestamp": "2026-01-16T12:30:00Z"}, row: goodTooLong("2026-01-16T12:30:00Z")},
	{name: "no alias capability", touches: []string{"client", "alias"}, client: "creditplus_no_alias", fields: message{"alias": "ALIAS_0011"}, row: noAliases},
	{name: "unknown card", touches: []string{"identifier"}, fields: message{"identifier": "DEVICE9999999999"}, row: noRecord},
	{name: "two cards", touches: []string{"identifier", "alias", "number", "packID"}, fields: message{"identifier": notSent, "alias": "SHARED_ALIAS"}, row: manyRecords},
	{name: "status", touches: []string{"identifier"}, fields: message{"identifier": "DEVICE0000000005"}, row: statusRefused},
}

// meets tells whether two violations can occur together.
func (v fault) meets(w fault) bool {
	return !slices.ContainsFunc(v.touches, func(thing string) bool { return slices.Contains(w.touches, thing) })
}

func (v fault) options() []contracttest.Option {
	if v.header == nil {
		return nil
	}
	return []contracttest.Option{v.header}
}

func TestReportsTheFirstOfTwoViolations(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	pairs := 0
	for i, first := range violations {
		require.Equal(t, first.row, answerOf(t, d.send(t, first)), first.name)
		for _, second := range violations[i+1:] {
			if !first.meets(second) {
				continue
			}
			pairs++
			require.Equal(t, first.row, answerOf(t, d.send(t, first, second)), "%s and %s", first.name, second.name)
			require.Equal(t, first.row, answerOf(t, d.send(t, second, first)), "%s and %s", second.name, first.name)
		}
	}
	require.Greater(t, pairs, 250)
	require.Empty(t, d.logged(t, 1), "a service request of a failure")
}

// send is the good request with things wrong with it.
func (d *helpdesk) send(t testing.TB, wrong ...fault) *contracttest.Reply {
	t.Helper()
	m, client, options := d.base, "creditplus", []contracttest.Option(nil)
	for _, v := range wrong {
		m = m.with(v.fields)
		options = append(options, v.options()...)
		if v.client != "" {
			client = v.client
		}
	}
	return d.ask(t, client, m, options...)
}

// logged is the service request of that number, nothing where there is none.
func (d *helpdesk) logged(t testing.TB, number int) map[string]any {
	t.Helper()
	r := d.Client.For(t).Do(http.MethodGet, fmt.Sprintf("/issuer/v1/service-requests/SR%010d", number), contracttest.Bearer(d.Mint(t, "issuer-sandbox", time.Hour)))
	if r.Status == http.StatusNotFound {
		return nil
	}
	return r.ExpectStatus(http.StatusOK).JSON("").(map[string]any)
}

func TestAnswersOddInputsWithADocumentedRow(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	emoji, long := strings.Repeat("🙂", 25), strings.Repeat("n", 40_000)
	labels := map[string]string{"identifier": "Identifier", "packID": "Card Pack ID", "alias": "Alias", "number": "Number", "programCode": "Program Code",
		"devicePlanCode": "Device Plan Code", "notes": "Notes", "source": "Source", "timestamp": "timestamp", "dataValidUntilTimestamp": "dataValidUntilTimestamp"}
	sizes := map[string]answer{"identifier": idSize, "packID": packIDSize, "alias": aliasSize, "number": numberSize, "programCode": programSize,
		"devicePlanCode": planSize, "notes": notesSize}
	type odd struct {
		name string
		m    any
		want answer
	}
	var table []odd
	add := func(name string, m any, want answer) { table = append(table, odd{name, m, want}) }

	for field, label := range labels {
		for name, wrong := range map[string]any{"a number": 12345678901234, "true": true, "an object": message{"a": 1}, "an array": []string{"a"}} {
			add(field+" is "+name, d.base.with(message{field: wrong}), badFormat(label))
		}
		size, sized := sizes[field]
		for name, text := range map[string]string{"empty": "", "as long as a body may be": long, "25 emoji": emoji} {
			want := badFormat(label)
			if sized {
				want = size
			}
			if field == "identifier" && text == emoji { // 25 characters are in order, these are not
				want = badValue("identifier", emoji)
			}
			add(field+" is "+name, d.base.with(message{field: text}), want)
		}
		null := resetDone
		switch field {
		case "identifier":
			null = noSelector
		case "timestamp":
			null = noTimestamp
		case "dataValidUntilTimestamp":
			null = noValidity
		}
		add(field+" is null", d.base.with(message{field: nil}), null)
		add(field+" is absent", d.base.with(message{field: notSent}), null)
		add(field+" holds NUL", d.base.with(message{field: "DEVICE\x00000000001"}), badFormat(label))
	}
	for name, stamp := range map[string]string{"the year 0000": "0000-01-01T00:00:00Z", "a leap second": "2026-06-30T23:59:60Z", "no offset": "2026-01-15T12:05:00",
		"ten fraction digits": "2026-01-15T12:05:00.1234567891Z", "a comma": "2026-01-15T12:05:00,5Z", "a blank": "2026-01-15 12:05:00Z",
		"hour 24": "2026-01-15T24:00:00Z", "offset 24:00": "2026-01-15T12:05:00+24:00", "offset 2400": "2026-01-15T12:05:00+2400", "offset 18:01": "2026-01-15T12:05:00+18:01",
		"offset 04": "2026-01-15T12:05:00+04", "a fraction without seconds": "2026-01-15T12:05.5Z", "no minutes": "2026-01-15T12Z",
		"30 February": "2026-02-30T12:05:00Z", "a newline": "2026-01-15T12:05:00Z\n"} {
		add("dataValidUntilTimestamp has "+name, d.base.with(message{"dataValidUntilTimestamp": stamp}), badFormat("dataValidUntilTimestamp"))
		add("timestamp has "+name, d.base.with(message{"timestamp": stamp}), badFormat("timestamp"))
	}
	for name, stamp := range map[string]string{"nine fraction digits": "2026-01-15T12:00:00.000000001Z", "no fraction": "2026-01-15T12:00:00Z",
		"an offset": "2026-01-15T17:30:00+05:30", "lower case": "2026-01-15t12:00:00z", "no seconds": "2026-01-15T12:00Z", "no colon": "2026-01-15T16:00:00+0400",
		"neither": "2026-01-15t16:00+0400", "the greatest offset": "2026-01-16T06:00:00+18:00", "the smallest": "2026-01-14T18:00-1800", "a day": "2026-01-16T12:00:00Z"} {
		add("dataValidUntilTimestamp has "+name, d.base.with(message{"dataValidUntilTimestamp": stamp}), resetDone)
		add("timestamp has "+name, d.base.with(message{"timestamp": stamp}), resetDone)
	}
	for name, stamp := range map[string]string{"a day and a nanosecond": "2026-01-16T12:00:00.000000001Z", "the year 9999": "9999-12-31T23:59:59.999999999-18:00"} {
		add("dataValidUntilTimestamp has "+name, d.base.with(message{"dataValidUntilTimestamp": stamp}), goodTooLong(stamp))
		add("both times have "+name, d.base.with(message{"timestamp": stamp, "dataValidUntilTimestamp": stamp}), resetDone)
	}
	for name, value := range map[string]any{"a text": "x", "null": nil, "an object": message{"pan": []any{message{}}}, "a number": 1.5, "a long text": long} {
		add("an unknown member is "+name, d.base.with(message{"channel": value, "Identifier": 1, "": nil}), resetDone)
	}
	add("an array as body", []message{d.base}, bodyFormat)
	add("a string as body", "body", bodyFormat)
	add("null as body", nil, bodyFormat)
	for _, o := range table {
		t.Run(o.name, func(t *testing.T) {
			require.Equal(t, o.want, answerOf(t, d.ask(t, "creditplus", o.m)))
			sealed := d.sealed(t, "creditplus", "key", d.text(t, o.m))
			require.Equal(t, o.want, answerOf(t, d.ask(t, "creditplus", nil, contracttest.Raw(jose, sealed))), "encrypted")
		})
	}
	twice, deep := `{"identifier":"DEVICE0000000001","x":1,"x":1}`, strings.Repeat("[", 40)+strings.Repeat("]", 40)
	for name, test := range map[string]struct {
		text string
		want answer
	}{
		"no JSON": {`{"identifier":`, bodyFormat}, "two values": {`{} {}`, bodyFormat}, "a member twice": {`{"alias":"A","alias":"B"}`, bodyFormat},
		"a blank": {` `, bodyFormat}, "bad UTF-8": {"{\"alias\":\"\xff\"}", bodyFormat}, "deep nesting": {strings.Repeat("[", 40_000), bodyFormat},
		"an unknown member twice": {twice, noTimestamp}, "a member twice in an unknown one": {`{"x":{"y":1,"y":2}}`, noSelector},
		"NUL in an unknown member": {`{"x":"\u0000"}`, noSelector}, "deep nesting in an unknown member": {`{"x":` + deep + `}`, noSelector},
		"half a surrogate pair": {`{"alias":"\ud800"}`, noTimestamp},
	} {
		t.Run("the body is "+name, func(t *testing.T) {
			require.Equal(t, test.want, answerOf(t, d.ask(t, "creditplus", nil, contracttest.Raw("application/json", test.text))))
			require.Equal(t, test.want, answerOf(t, d.ask(t, "creditplus", nil, contracttest.Raw(jose, d.sealed(t, "creditplus", "key", []byte(test.text))))), "encrypted")
		})
	}
}

func TestTimeIsThatOfTheServersClock(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	until := "2026-01-15T17:35:00.000+05:30" // 12:05 UTC
	m := d.base.with(message{"dataValidUntilTimestamp": until})
	compact := d.sealed(t, "creditplus", "key", d.text(t, m))
	for _, step := range []struct {
		forward time.Duration
		want    answer
	}{{0, resetDone}, {5 * time.Minute, resetDone}, {time.Microsecond, expiredAt(until)}, {time.Hour, expiredAt(until)}} {
		d.Clock.Forward(step.forward)
		require.Equal(t, step.want, answerOf(t, d.ask(t, "creditplus", m)), step.forward)
		require.Equal(t, step.want, answerOf(t, d.ask(t, "creditplus", nil, contracttest.Raw(jose, compact))), "the same message, %s later", step.forward)
	}
}

func TestEncryptedRequests(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	t.Run("may be under both keys of a client that replaces one", func(t *testing.T) {
		text := d.text(t, d.base)
		for _, key := range []string{"key", "next_key"} {
			require.Equal(t, resetDone, answerOf(t, d.ask(t, "creditplus", nil, contracttest.Raw(jose, d.sealed(t, "creditplus", key, text)))), key)
		}
	})
	t.Run("are in the document as they can be sent", func(t *testing.T) {
		examples := apptest.Documents(t)["creditplus"].Paths.Value(pathV2).Post.RequestBody.Value.Content[jose].Examples
		require.Greater(t, len(examples), 3)
		for name, e := range examples {
			compact := strings.TrimSpace(e.Value.Value.(string))
			key, err := hex.DecodeString(d.fixtures.Text("/clients/creditplus/key_hex"))
			if strings.Contains(name, "encrypted-only") {
				key, err = hex.DecodeString(d.fixtures.Text("/clients/creditplus_encrypted_only/key_hex"))
			}
			require.NoError(t, err)
			text, err := jwe.Decrypt([]byte(compact), jwe.WithKey(jwa.DIRECT(), key))
			require.NoError(t, err, name)
			require.JSONEq(t, string(d.text(t, e.Value.Extensions["x-decrypted"])), string(text), name)
		}
	})
	t.Run("fail to decrypt in one way", func(t *testing.T) { d.failsToDecryptInOneWay(t) })
}

func (d *helpdesk) failsToDecryptInOneWay(t *testing.T) {
	t.Helper()
	text := d.text(t, d.base)
	good := d.sealed(t, "creditplus", "key", text)
	part := strings.Split(good, ".")
	require.Len(t, part, 5)
	header := func(json string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(json)) + ".." + strings.Join(part[2:], ".")
	}
	flipped := func(i int) string {
		out := slices.Clone(part)
		first := "A"
		if out[i][0] == 'A' {
			first = "B"
		}
		out[i] = first + out[i][1:]
		return strings.Join(out, ".")
	}
	var replies []string
	for name, body := range map[string]string{
		"nothing":              "",
		"no JWE":               "sealed",
		"nothing, encrypted":   d.sealed(t, "creditplus", "key", nil),
		"clear JSON":           string(text),
		"four parts":           strings.Join(part[:4], "."),
		"six parts":            good + ".A",
		"other header":         flipped(0),
		"other IV":             flipped(2),
		"other ciphertext":     flipped(3),
		"other tag":            flipped(4),
		"short tag":            good[:len(good)-2],
		"padding":              good + "==",
		"a newline within":     strings.Join(part[:3], ".") + ".\n" + strings.Join(part[3:], "."),
		"a no-break space":     good + "\u00a0",
		"the tag in others":    good[:len(good)-1] + nextLetter(good[len(good)-1]),
		"an encrypted key":     part[0] + ".AAAA." + strings.Join(part[2:], "."),
		"no kid":               header(`{"alg":"dir","enc":"A256GCM"}`),
		"unknown kid":          header(`{"alg":"dir","enc":"A256GCM","kid":"nobody"}`),
		"another client's key": d.sealed(t, "creditplus_encrypted_only", "key", text),
		"another program's":    d.sealed(t, "creditplus_no_alias", "key", text),
		"a zone PIN key":       header(`{"alg":"dir","enc":"A256GCM","kid":"zpk-sandbox-aes"}`),
		"alg none":             header(`{"alg":"none","enc":"A256GCM","kid":"creditplus-key"}`),
		"another alg":          header(`{"alg":"A256KW","enc":"A256GCM","kid":"creditplus-key"}`),
		"another enc":          header(`{"alg":"dir","enc":"A128GCM","kid":"creditplus-key"}`),
		"compressed":           d.sealed(t, "creditplus", "key", text, jwe.WithCompress(jwa.Deflate())),
		"a bomb":               d.sealed(t, "creditplus", "key", []byte(strings.Repeat(" ", 20<<20)), jwe.WithCompress(jwa.Deflate())),
	} {
		t.Run(name, func(t *testing.T) {
			r := d.ask(t, "creditplus", nil, contracttest.Raw(jose, body))
			require.Equal(t, undeciphered, answerOf(t, r))
			replies = append(replies, fmt.Sprint(r.Status, r.Header.Get("Content-Type"), string(r.Body)))
		})
	}
	require.Len(t, slices.Compact(replies), 1, "replies differ")
	require.Equal(t, resetDone, answerOf(t, d.ask(t, "creditplus", nil, contracttest.Raw(jose, good))))
}

// nextLetter is the letter of base64url after one: where bits are left over, both stand for the same.
func nextLetter(c byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(letters[strings.IndexByte(letters, c)+1])
}

func TestLogsAServiceRequestWithEachReset(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	numbered := func(n int) string { return fmt.Sprintf("SR%010d", n) }

	first := d.ask(t, "creditplus", d.base.with(message{"notes": "card 9999990000000014", "source": "IVR"})).ExpectStatus(http.StatusOK)
	require.Equal(t, numbered(1), first.Text("/serviceRequestNumber"))
	require.Equal(t, map[string]any{
		"number": numbered(1), "programId": d.fixtures.Text("/cards/normal/programId"), "cardId": d.fixtures.Text("/cards/normal/cardId"),
		"clientId": "creditplus-sandbox", "contract": "creditplus", "version": "v2", "serviceCode": "109",
		"notes": "card ****************", "source": "IVR", "loggedAt": "2026-01-15T12:00:00Z",
	}, d.logged(t, 1))

	second := d.askV1(t, message{
		"institutionCode": "INST01", "deviceNumber": d.fixtures.Text("/cards/second/number"), "serviceCode": "109", "requestDate": "01/15/2026 16:00:00",
	}).ExpectStatus(http.StatusCreated)
	require.Equal(t, numbered(2), second.Text("/serviceRequest/number"))
	require.Equal(t, map[string]any{
		"number": numbered(2), "programId": d.fixtures.Text("/cards/second/programId"), "cardId": d.fixtures.Text("/cards/second/cardId"),
		"clientId": "creditplus-sandbox", "contract": "creditplus", "version": "v1", "serviceCode": "109", "loggedAt": "2026-01-15T12:00:00Z",
	}, d.logged(t, 2))

	t.Run("but none with a failure", func(t *testing.T) {
		restore := d.Faults.Fail(t, space.FaultAccessPoint)
		d.ask(t, "creditplus", d.base).ExpectStatus(http.StatusInternalServerError)
		restore()
		d.ask(t, "creditplus", d.base.with(message{"identifier": "DEVICE0000000005"})).ExpectStatus(http.StatusBadRequest)
		require.Empty(t, d.logged(t, 3))
	})
	t.Run("in the transaction of the reset", func(t *testing.T) {
		require.NoError(t, d.Store.Swap(t.Context(), pin.Change{Add: []pin.Lookup{{Kind: pin.KindRecord, Value: "creditplus:" + numbered(4), // the next number is taken already
			ProgramID: d.fixtures.Text("/cards/blocked/programId"), CardID: d.fixtures.Text("/cards/blocked/cardId")}}}))
		d.ask(t, "creditplus", d.base.with(message{"identifier": d.fixtures.Text("/cards/blocked/identifier")})).ExpectStatus(http.StatusInternalServerError)
		require.Equal(t, "Blocked 0", d.status(t, d.Server, "blocked"))
	})
	t.Run("which other programs do not see", func(t *testing.T) {
		d.Client.For(t).Do(http.MethodGet, "/issuer/v1/service-requests/"+numbered(1), contracttest.Bearer(d.Mint(t, "issuer_other-sandbox", time.Hour))).
			ExpectStatus(http.StatusNotFound)
	})
}

// status is a card's PIN status as Thredd's contract tells it at a server: "Unblocked 3".
func (d *helpdesk) status(t testing.TB, at *apptest.Server, card string) string {
	t.Helper()
	r := at.Client.For(t).Do(http.MethodGet, "/api/v1/cards/"+d.fixtures.Text("/cards/"+card+"/publicToken")+"/pin/status",
		contracttest.Bearer(at.Mint(t, "thredd-sandbox", time.Hour))).ExpectStatus(http.StatusOK)
	return r.Text("/status") + " " + r.Text("/remainingTries")
}

// verify offers a card's PIN, or a wrong one, to the issuer's API at a server.
func (d *helpdesk) verify(t testing.TB, at *apptest.Server, card, block string) string {
	t.Helper()
	return at.Client.For(t).Do(http.MethodPost, "/issuer/v1/cards/"+d.fixtures.Text("/cards/"+card+"/cardId")+"/pin/verifications",
		contracttest.Bearer(at.Mint(t, "issuer-sandbox", time.Hour)),
		contracttest.JSON(message{"pinBlock": block, "format": "ISO-1", "keyId": "zpk-sandbox"})).ExpectStatus(http.StatusOK).Text("/result")
}

// block is the format 1 PIN block of a card's PIN.
func (d *helpdesk) block(t testing.TB, card string) string {
	t.Helper()
	raw, err := hex.DecodeString(d.fixtures.Text("/clients/issuer/zpk_hex"))
	require.NoError(t, err)
	key, err := pinblock.NewTDES(raw)
	require.NoError(t, err)
	block, err := key.Encrypt(pinblock.ISO1, []byte(d.fixtures.Text("/cards/"+card+"/pin")), "", rand.Reader)
	require.NoError(t, err)
	return strings.ToUpper(hex.EncodeToString(block))
}

func TestResetIsSeenEverywhereAtOnce(t *testing.T) {
	t.Parallel()
	servers := map[string]func(t *testing.T) (here, there *apptest.Server){
		"one server": func(t *testing.T) (here, there *apptest.Server) { h := apptest.Start(t, ""); return h, h },
		"two servers on one PostgreSQL": func(t *testing.T) (here, there *apptest.Server) {
			at := storetest.Postgres(t)
			return apptest.Start(t, at), apptest.Start(t, at)
		},
	}
	for name, of := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, there := of(t)
			d := newHelpdesk(t, here)
			wrong := "BB5F048CBE3EE516" // a format 1 block of a PIN that is not this card's
			right := d.block(t, "second")
			for _, reset := range []func(){
				func() {
					d.ask(t, "creditplus", d.base.with(message{"identifier": d.fixtures.Text("/cards/second/identifier")})).ExpectStatus(http.StatusOK)
				},
				func() {
					d.askV1(t, message{
						"institutionCode": "INST01", "deviceNumber": d.fixtures.Text("/cards/second/number"), "serviceCode": "109", "requestDate": "01/15/2026 16:00:00",
					}).ExpectStatus(http.StatusCreated)
				},
			} {
				for range 3 {
					require.Equal(t, "mismatch", d.verify(t, there, "second", wrong))
				}
				require.Equal(t, "blocked", d.verify(t, there, "second", right))
				require.Equal(t, "Blocked 0", d.status(t, there, "second"))
				reset()
				require.Equal(t, "Unblocked 3", d.status(t, there, "second"))
				require.Equal(t, "match", d.verify(t, there, "second", right))
			}
		})
	}
}

func (d *helpdesk) askV1(t testing.TB, m any) *contracttest.Reply {
	t.Helper()
	return d.Client.For(t).Do(http.MethodPost, pathV1, contracttest.Bearer(d.tokens["creditplus"]), contracttest.JSON(m))
}

func TestV1(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	t.Run("takes a request date in the institution's time", func(t *testing.T) {
		m := message{"institutionCode": "INST01", "deviceNumber": "50000000000001", "serviceCode": "109"}
		for date, status := range map[string]int{
			"01/15/2026 12:00:00": http.StatusCreated, // the server's time, hours ago in Dubai
			"01/15/2026 16:00:00": http.StatusCreated,
			"01/15/2026 16:00:01": http.StatusBadRequest,
			"01/16/2026 00:00:00": http.StatusBadRequest,
		} {
			d.askV1(t, m.with(message{"requestDate": date})).ExpectStatus(status)
		}
		d.Clock.Forward(time.Second)
		d.askV1(t, m.with(message{"requestDate": "01/15/2026 16:00:01"})).ExpectStatus(http.StatusCreated)
	})
	t.Run("answers odd inputs with a documented row", func(t *testing.T) {
		base := message{"institutionCode": "INST01", "deviceNumber": "50000000000001", "serviceCode": "109", "requestDate": "01/15/2026 12:00:00", "notes": "n"}
		codes := map[string]struct{ missing, wrong string }{
			"institutionCode": {"HDE050", "997"}, "deviceNumber": {"HDE051", "HDE006"}, "serviceCode": {"HDE052", "HDE053"},
			"requestDate": {"997", "997"}, "notes": {"CCRBO0004", "997"},
		}
		for field, code := range codes {
			for name, value := range map[string]any{"not sent": notSent, "null": nil, "empty": ""} {
				require.Equal(t, code.missing, d.askV1(t, base.with(message{field: value})).Text("/code"), "%s is %s", field, name)
			}
			for name, value := range map[string]any{"a number": 109, "true": true, "an object": message{}, "an array": []string{"109"}, "emoji": strings.Repeat("🙂", 251),
				"as long as a body may be": strings.Repeat("1", 40_000), "a newline": "109\n", "NUL": "109\x00"} {
				require.Equal(t, code.wrong, d.askV1(t, base.with(message{field: value})).ExpectStatus(http.StatusBadRequest).Text("/code"), "%s is %s", field, name)
			}
		}
	})
}

// card is a card as the reference model knows it.
type card struct {
	identifier, packID, alias, number, pan, programCode, plan string
	usable                                                    bool
}

// model is V2's error table, read from top to bottom, for a clear message of strings, nulls and
// absent fields of a client that may use aliases. resetDone is a success.
func model(m message, now time.Time, cards []card) answer {
	field := func(name string) (text string, there bool) { text, there = m[name].(string); return text, there }
	selectors := 0
	for _, name := range []string{"identifier", "packID", "alias", "number"} {
		if _, there := field(name); there {
			selectors++
		}
	}
	if selectors == 0 {
		return noSelector
	}
	timestamp, there := field("timestamp")
	if !there {
		return noTimestamp
	}
	until, there := field("dataValidUntilTimestamp")
	if !there {
		return noValidity
	}
	for _, limit := range []struct {
		name     string
		min, max int
		row      answer
	}{{"packID", 10, 24, packIDSize}, {"identifier", 14, 28, idSize}, {"programCode", 1, 10, programSize}, {"devicePlanCode", 1, 10, planSize},
		{"alias", 1, 24, aliasSize}, {"notes", 1, 24, notesSize}, {"number", 10, 24, numberSize}} {
		if text, there := field(limit.name); there && (utf8.RuneCountInString(text) < limit.min || utf8.RuneCountInString(text) > limit.max) {
			return limit.row
		}
	}
	if source, there := field("source"); there && !slices.Contains([]string{"ONLINE_BANKING", "MOBILE_BANKING", "IVR", "CALL_CENTRE", "BRANCH"}, source) {
		return sourceFormat
	}
	const word, code = `^[A-Za-z0-9_-]+$`, `^[A-Z0-9]([A-Z0-9_]*[A-Z0-9])?$`
	for _, f := range [][2]string{{"identifier", word}, {"packID", word}, {"alias", `^[A-Za-z0-9_]+$`}, {"number", `^[0-9]+$`}, {"programCode", code}, {"devicePlanCode", code}} {
		if text, there := field(f[0]); there && !regexp.MustCompile(f[1]).MatchString(text) {
			digits := regexp.MustCompile(`[0-9]`)
			if f[0] == "number" {
				text = "****"
			} else if len(digits.FindAllString(text, -1)) >= 12 {
				text = digits.ReplaceAllString(text, "*")
			}
			return badValue(f[0], text)
		}
	}
	instant := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)
	made, err := time.Parse(time.RFC3339Nano, timestamp)
	if err != nil || !instant.MatchString(timestamp) || timestamp[:4] == "0000" {
		return badFormat("timestamp")
	}
	end, err := time.Parse(time.RFC3339Nano, until)
	if err != nil || !instant.MatchString(until) || until[:4] == "0000" {
		return badFormat("dataValidUntilTimestamp")
	}
	if notes, _ := field("notes"); strings.ContainsFunc(notes, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return badFormat("Notes")
	}
	if end.Before(now) {
		return expiredAt(until)
	}
	if end.Sub(made) > 24*time.Hour {
		return goodTooLong(until)
	}
	_, byAlias := field("alias")
	found := slices.DeleteFunc(slices.Clone(cards), func(c card) bool {
		for name, has := range map[string]string{"identifier": c.identifier, "packID": c.packID, "alias": c.alias, "number": c.number, "programCode": c.programCode, "devicePlanCode": c.plan} {
			if wanted, there := field(name); there && wanted != has && (name != "number" || wanted != c.pan) {
				return true
			}
		}
		return byAlias && !c.usable
	})
	switch {
	case len(found) == 0:
		return noRecord
	case len(found) > 1:
		return manyRecords
	case !found[0].usable:
		return statusRefused
	}
	return resetDone
}

func TestAgreesWithTheReferenceModel(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	var cards []card
	known := map[string][]string{"timestamp": {"2026-01-15T12:00:00Z"}, "source": {"IVR", "BRANCH"}, "notes": {"Caller verified"},
		"dataValidUntilTimestamp": {"2026-01-15T12:00:00Z", "2026-01-15T17:35:00.123456789+05:30", "2026-01-15T11:59:59Z", "2026-01-16T12:00:00.000000001Z"}}
	for name := range d.fixtures.JSON("/cards").(map[string]any) {
		text := func(field string) string { return d.fixtures.Text("/cards/" + name + "/" + field) }
		if text("programId") != d.fixtures.Text("/cards/normal/programId") || slices.Contains([]string{"slow", "database_gone", "internal_fault"}, name) { // which have a fate
			continue
		}
		c := card{text("identifier"), text("packID"), text("alias"), text("number"), text("pan"), text("programCode"), text("devicePlanCode"), text("status") == "normal"}
		cards = append(cards, c)
		if !slices.Contains(known["number"], c.pan) {
			known["number"] = append(known["number"], c.pan)
		}
		for field, v := range map[string]string{"identifier": c.identifier, "packID": c.packID, "alias": c.alias, "number": c.number, "programCode": c.programCode, "devicePlanCode": c.plan} {
			if v != "" && !slices.Contains(known[field], v) {
				known[field] = append(known[field], v)
			}
		}
	}
	known["alias"] = append(known["alias"], "SHARED_ALIAS", "SHARED_ALIAS", "SHARED_ALIAS") // which two cards have
	for _, values := range known {
		slices.Sort(values)
	}
	fields := slices.Sorted(maps.Keys(known))
	seen := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		for range 10 {
			m := message{}
			// Requests with one selector and nothing wrong with a field give the later rows their turn.
			only := rapid.SampledFrom([]string{"", "", "", "", "identifier", "packID", "alias", "number"}).Draw(rt, "the only selector")
			for _, f := range fields {
				mandatory := f == "timestamp" || f == "dataValidUntilTimestamp"
				switch n := rapid.IntRange(0, 9).Draw(rt, f); {
				case only == f, only != "" && mandatory:
					m[f] = rapid.SampledFrom(known[f]).Draw(rt, f)
				case only != "":
				case n == 0, n == 1 && !mandatory:
					m[f] = strings.ReplaceAll(rapid.OneOf(rapid.StringN(0, 30, -1), rapid.StringOfN(rapid.RuneFrom([]rune("Az09_-. 🙂\n'{}")), 0, 30, -1),
						rapid.StringMatching(`[A-Z0-9_]{1,28}`), rapid.StringMatching(`[0-9]{9,25}`)).Draw(rt, f), "\x00", "x") // which is no text
				case n == 2:
					m[f] = nil
				case n < 7 && !mandatory:
				default:
					m[f] = rapid.SampledFrom(known[f]).Draw(rt, f)
				}
			}
			want := model(m, d.Clock.Now(), cards)
			got := answerOf(rt, d.ask(t, "creditplus", m))
			require.Equal(rt, want, got, "%v", m)
			seen[want.Code]++
		}
	})
	for _, row := range []answer{resetDone, noSelector, noTimestamp, packIDSize, sourceFormat, badValue("", ""), inPast, noRecord, statusRefused, manyRecords} {
		require.Positive(t, seen[row.Code], row.Code)
	}
}
