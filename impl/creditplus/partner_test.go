package creditplus_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"pinvault/impl/app/apptest"
	"pinvault/impl/contract/contracttest"
	"pinvault/impl/store/storetest"
)

// The rows of the partner's page for V2 as they are printed there, each with a request that it answers. Where the
// page prints a value, that value is sent, except for 'identifier', which stands for what was sent: as it is
// printed it is too short.
func TestEveryRowOfThePartnersPageComesOutAsItIsPrinted(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	for _, row := range []struct {
		printed string // HTTP code, reason code, description, details
		fields  message
		client  string
	}{
		{"200|OK|The server has successfully processed your request.|", message{}, "creditplus"},
		{"400|UNIQUE_RECORD_NOT_FOUND|Multiple records found for given search criteria.|", message{"identifier": notSent, "alias": "SHARED_ALIAS"}, "creditplus"},
		{"400|INVALID_FIELD_FORMAT|Incorrect value for field Source.|", message{"source": "FAX"}, "creditplus"},
		{"400|INVALID_FIELD_VALUE|'identifier' field value 'IDENTIFIER/000' is invalid.|", message{"identifier": "IDENTIFIER/000"}, "creditplus"},
		{"500|ALIAS_CAPABILITY_NOT_ENABLED|Alias capability not enabled.|", message{"identifier": notSent, "alias": "ALIAS_0011"}, "creditplus_no_alias"},
		{"400|RECORD_NOT_FOUND|Record not found for given search criteria.|", message{"identifier": "DEVICE9999999999"}, "creditplus"},
		{"400|DEVICE_STATUS_NOT_SUPPORTED|Device, Operation not permitted|", message{"identifier": "DEVICE0000000005"}, "creditplus"},
		{"400|ERR_CODE_MISSING_REQUIRED_FIELD|Missing Required Field identifier or packID or alias or number.|", message{"identifier": notSent}, "creditplus"},
		{"400|MISSING_REQUIRED_FIELD|Missing Required Field 'timestamp'.|", message{"timestamp": notSent}, "creditplus"},
		{"400|MISSING_REQUIRED_FIELD|Missing Required Field 'DataValidUntilTimestamp'.|", message{"dataValidUntilTimestamp": notSent}, "creditplus"},
		{"400|INVALID_FIELD_LENGTH|Card Pack ID size must be between 10 and 24.|", message{"packID": "123456789"}, "creditplus"},
		{"400|INVALID_FIELD_LENGTH|Identifier size must be between 14 and 28.|", message{"identifier": "identifier"}, "creditplus"},
		{"400|INVALID_FIELD_LENGTH|Program Code size must be between 1 and 10.|", message{"programCode": "12345678901"}, "creditplus"},
		{"400|INVALID_FIELD_LENGTH|Device Plan Code size must be between 1 and 10.|", message{"devicePlanCode": "12345678901"}, "creditplus"},
		{"400|INVALID_FIELD_LENGTH|Alias size must be between 1 and 24.|", message{"alias": ""}, "creditplus"},
		{"400|INVALID_FIELD_LENGTH|Notes size must be between 1 and 24.|", message{"notes": strings.Repeat("n", 25)}, "creditplus"},
		{"400|TIMESTAMP_ERROR|Request timestamp is in past.|Request timestamp of 'dataValidUntilTimestamp' field value '2021-04-07T02:09:01.200+05:00' is in past",
			message{"dataValidUntilTimestamp": "2021-04-07T02:09:01.200+05:00"}, "creditplus"},
		{"403|AUTHORIZATION_ERROR|User is not authorized to access requested resource.|", message{}, "nobody"},
	} {
		t.Run(row.printed, func(t *testing.T) {
			m := d.base.with(row.fields)
			got := answerOf(t, d.ask(t, row.client, m))
			require.Equal(t, row.printed, fmt.Sprintf("%d|%s|%s|%s", got.Status, got.Code, got.Description, got.Details))
			if row.client == "nobody" {
				row.client = "creditplus"
				d.tokens[row.client], row.fields = d.tokens["nobody"], nil
			}
			sealed := d.sealed(t, row.client, "key", d.text(t, m))
			got = answerOf(t, d.ask(t, row.client, nil, contracttest.Raw(jose, sealed)))
			require.Equal(t, row.printed, fmt.Sprintf("%d|%s|%s|%s", got.Status, got.Code, got.Description, got.Details), "encrypted")
		})
	}
}

// The rows come in the order that the document gives.
func TestV1ReportsTheFirstOfTwoViolations(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	base := message{"institutionCode": "INST01", "deviceNumber": "50000000000001", "serviceCode": "109", "requestDate": "01/15/2026 12:00:00"}
	wrong := []struct {
		field string
		value any
		row   string
	}{
		{"institutionCode", nil, "HDE050 Institution code is mandatory"},
		{"deviceNumber", "", "HDE051 Device number is mandatory"},
		{"serviceCode", notSent, "HDE052 Service code is mandatory."},
		{"serviceCode", "110", "HDE053 Error in fetching data from service_code_mst."},
		{"deviceNumber", "123456789", "HDE006 Invalid Device Number"},
		{"requestDate", "2026-01-15", "997 Request Date field must be in MM/dd/yyyy HH:mm:ss format."},
		{"institutionCode", "INST 01", "997 Reset Pin Retry Counter failed: invalid request"},
		{"notes", "\x01", "997 Reset Pin Retry Counter failed: invalid request"},
		{"requestDate", "01/16/2026 12:00:00", "997 Request Date should be less than or equal to institution date."},
		{"deviceNumber", "59999999999999", "998 Device(s) does not exist"},
		{"institutionCode", "INST02", "998 NO_DEVICE_ERROR"},
		{"deviceNumber", "50000000000015", "RP102 Invalid Device Plan."},
		{"deviceNumber", "50000000000005", "HDE100 Device is not in normal state"},
	}
	pairs := 0
	for i, first := range wrong {
		m := base.with(message{first.field: first.value})
		r := d.askV1(t, m)
		require.Equal(t, first.row, r.Text("/code")+" "+r.Text("/reason"))
		for _, second := range wrong[i+1:] {
			if first.field == second.field {
				continue
			}
			pairs++
			r := d.askV1(t, m.with(message{second.field: second.value}))
			require.Equal(t, first.row, r.Text("/code")+" "+r.Text("/reason"), "%s and %s", first.row, second.row)
		}
	}
	require.Greater(t, pairs, 60)
}

// guess offers a wrong PIN and tells what is left.
func (d *helpdesk) guess(t testing.TB) string {
	t.Helper()
	require.Equal(t, "mismatch", d.verify(t, d.Server, "second", "BB5F048CBE3EE516"))
	return d.status(t, d.Server, "second")
}

func TestASealedRequestHasItsEffectOnce(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	d.base["identifier"] = d.fixtures.Text("/cards/second/identifier")
	ask := func(client, compact string) *contracttest.Reply {
		return d.ask(t, client, nil, contracttest.Raw(jose, compact))
	}
	compact := d.sealed(t, "creditplus_window", "key", d.text(t, d.base.with(message{"dataValidUntilTimestamp": "2026-01-15T13:00:00Z"})))
	require.Equal(t, "Unblocked 2", d.guess(t))
	first := ask("creditplus_window", compact).ExpectStatus(http.StatusOK)
	require.Equal(t, "SR0000000001", first.Text("/serviceRequestNumber"))
	require.Equal(t, "Unblocked 3", d.status(t, d.Server, "second"))
	require.Equal(t, "Unblocked 2", d.guess(t))
	again := func(name, compact string) {
		t.Helper()
		r := ask("creditplus_window", compact).ExpectStatus(http.StatusOK)
		require.Equal(t, string(first.Body), string(r.Body), name)
		require.Equal(t, "Unblocked 2", d.status(t, d.Server, "second"), name)
		require.Empty(t, d.logged(t, 2), name)
	}
	again("at once", compact)
	again("with a line end", "\r\n\t "+compact+"\n")
	d.Clock.Forward(20 * time.Minute)
	again("when it is still good, though it could not come for the first time any more", compact)
	d.Clock.Forward(40 * time.Minute)
	again("at the end", compact)
	d.Clock.Forward(time.Microsecond)
	require.Equal(t, expiredAt("2026-01-15T13:00:00Z"), answerOf(t, ask("creditplus_window", compact)))
	require.Equal(t, "Unblocked 2", d.status(t, d.Server, "second"))

	t.Run("and a clear one each time", func(t *testing.T) {
		m := d.base.with(message{"timestamp": "2026-01-15T13:00:00Z", "dataValidUntilTimestamp": "2026-01-15T13:30:00Z"})
		for _, number := range []string{"SR0000000002", "SR0000000003"} {
			require.Equal(t, number, d.ask(t, "creditplus_window", m).ExpectStatus(http.StatusOK).Text("/serviceRequestNumber"))
		}
	})
	t.Run("as often as it is sealed", func(t *testing.T) {
		text := d.text(t, d.base.with(message{"dataValidUntilTimestamp": "2026-01-15T13:30:00Z"}))
		for _, number := range []string{"SR0000000004", "SR0000000005"} {
			require.Equal(t, number, ask("creditplus", d.sealed(t, "creditplus", "key", text)).ExpectStatus(http.StatusOK).Text("/serviceRequestNumber"))
		}
	})
	t.Run("once it is not refused any more", func(t *testing.T) {
		lost := d.fixtures.Text("/cards/lost/cardId")
		compact := d.sealed(t, "creditplus", "key", d.text(t, d.base.with(message{"identifier": d.fixtures.Text("/cards/lost/identifier"), "dataValidUntilTimestamp": "2026-01-15T13:30:00Z"})))
		for range 2 {
			require.Equal(t, statusRefused, answerOf(t, ask("creditplus", compact)))
		}
		d.Client.For(t).Do(http.MethodPatch, "/issuer/v1/cards/"+lost, contracttest.Bearer(d.Mint(t, "issuer-sandbox", time.Hour)), contracttest.JSON(message{"status": "normal"})).ExpectStatus(http.StatusOK)
		for range 2 {
			require.Equal(t, "SR0000000006", ask("creditplus", compact).ExpectStatus(http.StatusOK).Text("/serviceRequestNumber"))
		}
	})
	t.Run("however many come at once", func(t *testing.T) {
		compact := d.sealed(t, "creditplus", "key", d.text(t, d.base.with(message{"dataValidUntilTimestamp": "2026-01-15T13:30:00Z"})))
		numbers := map[string]int{}
		var mutex sync.Mutex
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() {
				r := d.Client.Do(http.MethodPost, pathV2, contracttest.Bearer(d.tokens["creditplus"]), contracttest.Raw(jose, compact))
				mutex.Lock()
				defer mutex.Unlock()
				numbers[string(r.Body)]++
			})
		}
		all.Wait()
		require.Len(t, numbers, 1, "%v", numbers)
		for body := range numbers {
			require.Contains(t, body, `"code":"OK"`)
		}
	})
}

func TestTheTimestampIsWithinTheClientsWindow(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	made := d.Client.For(t).Do(http.MethodPost, "/issuer/v1/clients", contracttest.Bearer(d.Mint(t, "issuer-sandbox", time.Hour)), contracttest.JSON(message{
		"contract": "creditplus", "programId": d.fixtures.Text("/cards/normal/programId"), "name": "One minute", "scopes": []string{"tries:reset"},
		"creditplus": message{"encryptionRequired": false, "timestampWindowSeconds": 60},
	})).ExpectStatus(http.StatusCreated)
	require.InDelta(t, 60, made.JSON("/creditplus/timestampWindowSeconds"), 0)
	d.tokens["a minute"] = d.Mint(t, made.Text("/clientId"), time.Hour)
	for _, c := range []struct {
		client, timestamp string
		want              answer
	}{
		{"creditplus_window", "2026-01-15T11:45:00Z", resetDone},
		{"creditplus_window", "2026-01-15T11:44:59.999999999Z", madeTooSoon("2026-01-15T11:44:59.999999999Z")},
		{"creditplus_window", "2026-01-15T16:15+0400", resetDone},
		{"creditplus_window", "2026-01-15T12:15:00.000000001Z", madeTooLate("2026-01-15T12:15:00.000000001Z")},
		{"a minute", "2026-01-15T11:59:00Z", resetDone},
		{"a minute", "2026-01-15T11:58:59Z", madeTooSoon("2026-01-15T11:58:59Z")},
		{"a minute", "2026-01-15T12:01:00Z", resetDone},
		{"a minute", "2026-01-15T12:01:01Z", madeTooLate("2026-01-15T12:01:01Z")},
		{"creditplus", "2026-01-14T12:05:00Z", resetDone},
		{"creditplus", "2099-01-14T12:05:00Z", resetDone},
	} {
		require.Equal(t, c.want, answerOf(t, d.ask(t, c.client, d.base.with(message{"timestamp": c.timestamp}))), "%s %s", c.client, c.timestamp)
	}
}

// In Credit+ the number of a device is the card's: device number or PAN, whichever the issuer has given us.
func TestTheNumberMayBeThePAN(t *testing.T) {
	t.Parallel()
	at := apptest.Start(t, "")
	d := newHelpdesk(t, at)
	issuer := contracttest.Bearer(d.Mint(t, "issuer-sandbox", time.Hour))
	program := d.fixtures.Text("/cards/normal/programId")
	create := func(card message) {
		t.Helper()
		d.Client.For(t).Do(http.MethodPost, "/issuer/v1/cards", issuer, contracttest.JSON(card.with(message{"programId": program, "institutionCode": "INST01", "devicePlanCode": "PLAN01"}))).
			ExpectStatus(http.StatusCreated)
	}
	create(message{"pan": "9999991000000012", "expiry": "3112"})
	create(message{"pan": "9999991000000020", "expiry": "3112", "references": []message{{"kind": "number", "value": "9999991000000020"}}})
	create(message{"pan": "9999991000000038", "expiry": "3112", "sequence": "01"})
	create(message{"pan": "9999991000000038", "expiry": "3212", "sequence": "02"})
	for _, c := range []struct {
		name, number, device string
		want                 answer
		v1                   string
	}{
		{"the device number", "50000000000002", "50000000000002", resetDone, "CCRBO0004"},
		{"the PAN", d.fixtures.Text("/cards/second/pan"), "999999******0022", resetDone, "CCRBO0004"},
		{"the PAN of a card without device number", "9999991000000012", "999999******0012", resetDone, "CCRBO0004"},
		{"a PAN that is the device number too", "9999991000000020", "9999991000000020", resetDone, "CCRBO0004"},
		{"nobody's", "9999991000000046", "", noRecord, "998"},
		{"the PAN of another program's card", d.fixtures.Text("/cards/alias_disabled/pan"), "", noRecord, "998"},
		{"the PAN of a lost card", d.fixtures.Text("/cards/lost/pan"), "", statusRefused, "HDE100"},
		{"one card's PAN and another's device number", d.fixtures.Text("/cards/third/pan"), "", manyRecords, "998"},
		{"a PAN that two cards have", "9999991000000038", "", manyRecords, "998"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := d.base.with(message{"identifier": notSent, "number": c.number})
			require.Equal(t, c.want, answerOf(t, d.ask(t, "creditplus", m)))
			require.Equal(t, c.want, answerOf(t, d.ask(t, "creditplus", nil, contracttest.Raw(jose, d.sealed(t, "creditplus", "key", d.text(t, m))))), "encrypted")
			r := d.askV1(t, message{"institutionCode": "INST01", "deviceNumber": c.number, "serviceCode": "109", "requestDate": "01/15/2026 12:00:00"})
			require.Equal(t, c.v1, r.Text("/code"))
			if c.device != "" {
				require.Equal(t, c.device, r.Text("/serviceRequest/deviceNumber"))
			}
		})
	}
	t.Run("with another selector of the same card", func(t *testing.T) {
		for identifier, want := range map[string]answer{"DEVICE0000000003": resetDone, "DEVICE0000000020": resetDone, "DEVICE0000000001": noRecord} {
			require.Equal(t, want, answerOf(t, d.ask(t, "creditplus", d.base.with(message{"identifier": identifier, "number": d.fixtures.Text("/cards/third/pan")}))), identifier)
		}
	})
}

// The issuer takes every reference by which a request can name a card, and none that no request could hold.
func TestTheIssuerTakesTheReferencesThatRequestsCanName(t *testing.T) {
	t.Parallel()
	d := newHelpdesk(t, apptest.Start(t, ""))
	issuer := contracttest.Bearer(d.Mint(t, "issuer-sandbox", time.Hour))
	program := d.fixtures.Text("/cards/normal/programId")
	for _, kind := range []struct {
		name, field    string
		named, unnamed []string
	}{
		{"identifier", "identifier", []string{"a-Z_0123456789", strings.Repeat("-", 28)}, []string{"", "1234567890123", strings.Repeat("1", 29), "DEVICE 0000000001", "DEVICE/0000000001"}},
		{"packId", "packID", []string{"a-Z_012345", strings.Repeat("_", 24)}, []string{"", "123456789", strings.Repeat("1", 25), "PACK 000000001"}},
		{"alias", "alias", []string{"a", "Z_9", strings.Repeat("_", 24)}, []string{"", strings.Repeat("a", 25), "a-b", "a b", "ä"}},
		{"number", "number", []string{"0123456789", strings.Repeat("9", 24)}, []string{"", "123456789", strings.Repeat("1", 25), "5000000000000X"}},
	} {
		create := func(value string) int {
			return d.Client.For(t).Do(http.MethodPost, "/issuer/v1/cards", issuer,
				contracttest.JSON(message{"programId": program, "references": []message{{"kind": kind.name, "value": value}}})).Status
		}
		for _, value := range kind.named {
			require.Equal(t, http.StatusCreated, create(value), "%s %q", kind.name, value)
			require.Equal(t, resetDone, answerOf(t, d.ask(t, "creditplus", d.base.with(message{"identifier": notSent, kind.field: value}))), "%s %q", kind.name, value)
		}
		for _, value := range kind.unnamed {
			require.Equal(t, http.StatusBadRequest, create(value), "%s %q", kind.name, value)
		}
	}
}

// What could be a PAN is in no log, replay record or event, wherever in a request it stood.
func TestAPANInARequestIsFoundNowhere(t *testing.T) {
	t.Parallel()
	at := storetest.SQLite(t)
	d := newHelpdesk(t, apptest.Start(t, at))
	known, unknown := d.fixtures.Text("/cards/second/pan"), "9999991000000046"
	var replies []string
	for _, pan := range []string{known, unknown} {
		for _, m := range []message{
			{"identifier": notSent, "number": pan},
			{"number": pan},
			{"identifier": notSent, "number": pan + "X"},
			{"identifier": pan},
			{"notes": pan, pan: pan, "device": message{"pan": pan}},
			{"timestamp": pan},
			{"source": pan},
		} {
			m = d.base.with(m)
			sealed := d.sealed(t, "creditplus", "key", d.text(t, m))
			for _, r := range []*contracttest.Reply{
				d.ask(t, "creditplus", m), d.ask(t, "creditplus", nil, contracttest.Raw(jose, sealed)), d.ask(t, "creditplus", nil, contracttest.Raw(jose, sealed+"\n")),
			} {
				replies = append(replies, string(r.Body))
			}
		}
		for _, m := range []message{{"deviceNumber": pan}, {"deviceNumber": pan + "X"}, {"notes": pan}, {pan: pan}, {"institutionCode": pan}} {
			m = message{"institutionCode": "INST01", "deviceNumber": "50000000000001", "serviceCode": "109", "requestDate": "01/15/2026 12:00:00"}.with(m)
			replies = append(replies, string(d.askV1(t, m).Body))
		}
	}
	secrets := map[string]string{"the PAN of a card": known, "nobody's PAN": unknown}
	apptest.RequireNowhere(t, secrets, "the log", d.Log.String())
	apptest.RequireNowhere(t, secrets, "the replies", strings.Join(replies, "\n"))
	apptest.RequireNowhere(t, secrets, "the database", apptest.Dump(t, at))
	require.Contains(t, strings.Join(replies, "\n"), `"code":"OK"`)
	require.Contains(t, strings.Join(replies, "\n"), `"deviceNumber":"999999******0022"`)
}
