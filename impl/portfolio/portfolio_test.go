package portfolio_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"pinvault/impl/app"
	"pinvault/impl/keyring"
	"pinvault/impl/pin"
	"pinvault/impl/pinblock"
	"pinvault/impl/portfolio"
	"pinvault/impl/store"
	"pinvault/impl/store/storetest"
)

// key is that of the zone "zpk-1" and of the verification values under "pvk-1".
const key = "E8DD93B8AF13999C7644C0FE11F5D2A7"

// schema is what rows may have. It costs a second, and is the same for everybody.
var schema = sync.OnceValues(func() (*portfolio.Schema, error) {
	return portfolio.NewSchema(app.Operator(pin.NewVault(nil, nil, nil, nil), nil, true))
})

// house is a vault with the program "program" and partners' keys.
type house struct {
	*pin.Vault
	t      require.TestingT
	store  *store.Store
	ring   *keyring.Ring
	schema *portfolio.Schema
}

func operating() context.Context {
	return pin.WithCaller(context.Background(), pin.Operator("pinvault import"))
}

// engines are the databases that tests run on.
var engines = map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.Postgres}

// onEach runs a test on each database.
func onEach(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	for name, database := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := store.Open(t.Context(), database(t), store.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			require.NoError(t, s.Migrate(t.Context()))
			test(t, s)
		})
	}
}

// movedInto makes a house of a store, which is emptied.
func movedInto(t require.TestingT, s *store.Store) *house {
	require.NoError(t, s.Wipe(context.Background()))
	h := &house{t: t, store: s, ring: keyring.Open(keyring.Sandbox(), s, nil)}
	h.Vault = pin.NewVault(s, h.ring, nil, nil)
	require.NoError(t, h.Initialize(operating()))
	program := pin.NewProgram("program")
	program.ID, program.RetrievalAllowed, program.MaxPINLength = "program", true, 12
	_, err := h.CreateProgram(operating(), program, pin.Memo{})
	require.NoError(t, err)
	raw, err := hex.DecodeString(key)
	require.NoError(t, err)
	for id, usage := range map[string]pin.KeyUsage{"zpk-1": pin.UsageZonePIN, "pvk-1": pin.UsageVerification} {
		row, err := h.ring.WrapZoneKey(id, "", usage, keyring.TDES, raw)
		require.NoError(t, err)
		require.NoError(t, h.ImportZoneKey(operating(), row, pin.Memo{}))
	}
	h.schema, err = schema()
	require.NoError(t, err)
	return h
}

// moveIn imports a file and returns what was rejected, a line each.
func (h *house) moveIn(f portfolio.Format, file string) (portfolio.Summary, []string) {
	rejected := []string{}
	total, err := portfolio.Import(operating(), h, h.schema, strings.NewReader(file), portfolio.ImportOptions{
		Format: f, ProgramID: "program", Progress: func(int) {},
		Rejected: func(r portfolio.Rejected) error {
			rejected = append(rejected, fmt.Sprintf("%d: %s", r.Line, strings.Join(r.Reasons, " ")))
			return nil
		},
	})
	require.NoError(h.t, err)
	return total, rejected
}

// moveOut exports the program.
func (h *house) moveOut(f portfolio.Format, packing *pin.Packing) string {
	var file bytes.Buffer
	_, err := portfolio.Export(operating(), h, h.schema, &file, portfolio.ExportOptions{Format: f, ProgramID: "program", PAN: true, Packing: packing, Progress: func(int) {}})
	require.NoError(h.t, err)
	return file.String()
}

// whole holds the database against its trail.
func (h *house) whole() pin.Summary {
	found, err := h.VerifyTrail(operating(), pin.VerifyOptions{})
	require.NoError(h.t, err)
	require.Empty(h.t, found.Findings)
	return found
}

// blocks packs PINs into blocks that are the same each time.
func (h *house) blocks() *pin.Packing {
	return &pin.Packing{KeyID: "zpk-1", Pack: func(p pin.PIN, pan string) (*pin.Block, pin.VerificationValue, error) {
		b, err := h.ring.SealPIN(context.Background(), pin.UsageZonePIN, "program", "zpk-1", pinblock.ISO0, p, pan, rand.Reader)
		return &pin.Block{KeyID: "zpk-1", Format: pinblock.ISO0, Bytes: b}, pin.VerificationValue{}, err
	}}
}

func blockOf(t require.TestingT, digits, pan string) map[string]any {
	raw, err := hex.DecodeString(key)
	require.NoError(t, err)
	k, err := pinblock.NewTDES(raw)
	require.NoError(t, err)
	b, err := k.Encrypt(pinblock.ISO0, []byte(digits), pan, nil)
	require.NoError(t, err)
	return map[string]any{"block": map[string]any{"keyId": "zpk-1", "format": "ISO-0", "pinBlock": fmt.Sprintf("%X", b)}}
}

// panOf and pinOf are PAN and PIN of the n-th card.
func panOf(n int) string { return fmt.Sprintf("99999900%07d0", n) }
func pinOf(n int) string { return fmt.Sprintf("%04d", (n*7919+1234)%10000) }

// pinned is a row's PIN in one of the ways, nil for none.
func (h *house) pinned(way string, n int) map[string]any {
	vk, err := h.ring.VerificationKey(operating(), "program", "pvk-1")
	require.NoError(h.t, err)
	switch way {
	case "block":
		return blockOf(h.t, pinOf(n), panOf(n))
	case "pvv":
		pvv, err := vk.PVV(panOf(n), 1, []byte(pinOf(n)))
		require.NoError(h.t, err)
		return map[string]any{"pvv": map[string]any{"keyId": "pvk-1", "pvv": pvv, "pvki": 1}}
	case "offset":
		how := pin.IBM3624{Table: "0123456789012345", Start: 3, Digits: 12, Pad: 'F'}
		offset, err := vk.Offset(how, panOf(n), []byte(pinOf(n)))
		require.NoError(h.t, err)
		return map[string]any{"offset": map[string]any{"keyId": "pvk-1", "offset": offset, "decimalizationTable": how.Table, "validationStart": 3, "validationDigits": 12}}
	}
	return nil
}

// row draws the n-th row of a file.
func (h *house) row(t *rapid.T, n int) map[string]any {
	row := map[string]any{"pan": panOf(n), "sequence": "01"}
	maybe := func(name string, values ...any) {
		if v := rapid.SampledFrom(append(values, nil)).Draw(t, name); v != nil {
			row[name] = v
		}
	}
	maybe("expiry", "3112")
	maybe("status", "lost", "restricted", "closed")
	maybe("embossName", "O'NEIL, \"É\"", "A;B", "=1+1", " X")
	maybe("customerId", "C1", fmt.Sprint("C", n))
	maybe("mobileNumber", "971501234567")
	maybe("emailAddress", "a@example.com")
	maybe("cardholderId", "user@example.com")
	var references []map[string]any
	for kind, value := range map[string]string{"urn": fmt.Sprint(n + 1), "publicToken": fmt.Sprintf("%09d", n), "exid": "EX/12 3 " + fmt.Sprint(n)} {
		if rapid.Bool().Draw(t, kind) {
			references = append(references, map[string]any{"kind": kind, "value": value})
		}
	}
	for _, alias := range []string{"A_1", "A_2"} {
		if rapid.Bool().Draw(t, alias) {
			references = append(references, map[string]any{"kind": "alias", "value": alias})
		}
	}
	if references != nil {
		row["references"] = references
	}
	if p := h.pinned(rapid.SampledFrom([]string{"block", "pvv", "offset", "none"}).Draw(t, "pin"), n); p != nil {
		row["pin"] = p
		maybe("pinState", "assigned", "chosen")
		maybe("remainingTries", 0, 1, 2)
	}
	return row
}

func lines(t require.TestingT, rows ...map[string]any) string {
	var out strings.Builder
	for _, r := range rows {
		text, err := json.Marshal(r)
		require.NoError(t, err)
		out.Write(append(text, '\n'))
	}
	return out.String()
}

// times is how often what chance has a part in is tried.
func times(short, long int) int {
	if os.Getenv("PINVAULT_TEST_LONG") == "1" {
		return long
	}
	return short
}

// What was exported moves in elsewhere, and is what it was: the same file comes out again, each PIN is right there and the trail
// is whole.
func TestWhatMovesOutMovesInAsItWas(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store) {
		for try := range times(2, 60) {
			roundTrip(t, s, try)
		}
	})
}

func roundTrip(t *testing.T, s *store.Store, try int) {
	t.Helper()
	h := movedInto(t, s)
	rows := rapid.Custom(func(t *rapid.T) []map[string]any {
		rows := make([]map[string]any, rapid.IntRange(1, 25).Draw(t, "rows"))
		for i := range rows {
			rows[i] = h.row(t, i)
		}
		return rows
	}).Example(try)
	n := len(rows)
	total, rejected := h.moveIn(portfolio.NDJSON, lines(t, rows...))
	require.Empty(t, rejected)
	require.Equal(t, portfolio.Summary{Rows: n, Imported: n}, total)
	h.whole()
	for _, format := range []portfolio.Format{portfolio.NDJSON, portfolio.CSV} {
		out := h.moveOut(format, h.blocks())
		again, rejected := h.moveIn(format, out)
		require.Empty(t, rejected, "where it came from")
		require.Equal(t, portfolio.Summary{Rows: n, There: n}, again)
		h.whole()

		other := movedInto(t, s)
		total, rejected := other.moveIn(format, out)
		require.Empty(t, rejected)
		require.Equal(t, portfolio.Summary{Rows: n, Imported: n}, total)
		require.Equal(t, out, other.moveOut(format, other.blocks()))
		other.whole()
		h = other
	}
	for i, row := range rows {
		q := pin.Query{References: []pin.Reference{{Kind: pin.KindPAN, Value: panOf(i)}}}
		p, err := pin.New([]byte(pinOf(i)))
		require.NoError(t, err)
		got, err := h.Verify(operating(), q, pin.Plain(p), pin.Memo{})
		switch {
		case row["status"] != nil:
			require.ErrorIs(t, err, &pin.Error{Code: pin.CardStatus})
		case row["pin"] == nil:
			require.ErrorIs(t, err, &pin.Error{Code: pin.NoPIN})
		case row["remainingTries"] == 0:
			require.NoError(t, err)
			require.Equal(t, pin.Exhausted, got.Result)
		default:
			require.NoError(t, err)
			require.Equal(t, pin.Match, got.Result)
		}
	}
	h.whole()
}

// Rows of one file that have to do with each other fare as if each came by itself, in the order of the file.
func TestRowsFareAsIfTheyCameOneByOne(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store) {
		for try := range times(5, 200) {
			rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) map[string]any {
				row := map[string]any{}
				maybe := func(name string, values ...any) {
					if v := rapid.SampledFrom(append(values, nil)).Draw(t, name); v != nil {
						row[name] = v
					}
				}
				maybe("pan", panOf(1), panOf(2))
				maybe("sequence", "01", "02")
				maybe("customerId", "C1")
				maybe("cardId", "0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5e", "0190a5c0-7d2e-7c3a-9a57-3f1f2f3c4d5f")
				if v := rapid.SampledFrom([]string{"1", "2", ""}).Draw(t, "urn"); v != "" {
					row["references"] = []map[string]any{{"kind": "urn", "value": v}}
				}
				return row
			}), 2, 12).Example(try)
			h := movedInto(t, s)
			var want portfolio.Summary
			wanted := []string{}
			for i, row := range rows {
				one, rejected := h.moveIn(portfolio.NDJSON, lines(t, row))
				want.Rows, want.Imported, want.There, want.Rejected = want.Rows+1, want.Imported+one.Imported, want.There+one.There, want.Rejected+one.Rejected
				for _, r := range rejected {
					wanted = append(wanted, strings.Replace(r, "1:", fmt.Sprint(i+1)+":", 1))
				}
			}
			h = movedInto(t, s)
			got, rejected := h.moveIn(portfolio.NDJSON, lines(t, rows...))
			require.Equal(t, want, got, "%v", rows)
			require.Equal(t, wanted, rejected, "%v", rows)
			h.whole()
		}
	})
}

// A portfolio that lives here is imported once more, as when the first import broke off.
func TestCardsThatLiveHereStayAsTheyAre(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store) {
		h := movedInto(t, s)
		var rows []map[string]any
		for i, way := range []string{"block", "pvv", "offset", "none", "block"} {
			rows = append(rows, map[string]any{"pan": panOf(i), "pin": h.pinned(way, i)})
			if rows[i]["pin"] == nil || way == "none" {
				delete(rows[i], "pin")
			}
		}
		file := lines(t, rows...)
		h.moveIn(portfolio.NDJSON, file)
		card := func(i int) pin.Query {
			return pin.Query{References: []pin.Reference{{Kind: pin.KindPAN, Value: panOf(i)}}}
		}
		for i := range rows { // each gets another PIN or shows its own, and one is lost
			digits := "9173"
			if i == 1 {
				digits = pinOf(i)
			}
			p, err := pin.New([]byte(digits))
			require.NoError(t, err)
			if i == 1 {
				_, err = h.Verify(operating(), card(i), pin.Plain(p), pin.Memo{})
			} else {
				err = h.SetPIN(operating(), card(i), pin.Plain(p), pin.Memo{})
			}
			require.NoError(t, err)
		}
		_, err := h.UpdateCard(operating(), card(4), func(c *pin.Card) error { c.Status = pin.StatusLost; return nil }, pin.Memo{})
		require.NoError(t, err)
		before := h.moveOut(portfolio.NDJSON, nil)
		total, rejected := h.moveIn(portfolio.NDJSON, file)
		require.Equal(t, portfolio.Summary{Rows: 5, There: 4, Rejected: 1}, total)
		require.Equal(t, []string{"5: the card is there already, and differs in status."}, rejected)
		require.Equal(t, before, h.moveOut(portfolio.NDJSON, nil))
		h.whole()
	})
}

func TestFilesAsPeopleMakeThem(t *testing.T) {
	t.Parallel()
	row := `{"pan":"9999990000000014"}`
	other := `{"pan":"9999990000000022"}`
	for _, test := range []struct {
		name     string
		format   portfolio.Format
		file     string
		imported int
		rejected []string
	}{
		{"nothing", portfolio.NDJSON, "", 0, nil},
		{"empty lines alone", portfolio.NDJSON, "\n \r\n\n", 0, nil},
		{"a mark at the beginning", portfolio.NDJSON, "\ufeff" + row, 1, nil},
		{"lines as Windows ends them", portfolio.NDJSON, row + "\r\n" + other + "\r\n", 2, nil},
		{"no end of the last line", portfolio.NDJSON, row + "\n" + other, 2, nil},
		{"empty lines count", portfolio.NDJSON, "\n\n{\n" + row, 1, []string{"3: the row is not valid JSON."}},
		{"a list", portfolio.NDJSON, "[" + row + "]", 0, []string{"1: the row must be of type object."}},
		{"a name twice", portfolio.NDJSON, `{"pan":"9999990000000014","pan":"9999990000000022"}`, 0, []string{"1: the row names a member twice."}},
		{"two rows on a line", portfolio.NDJSON, row + row, 0, []string{"1: the row is not valid JSON."}},
		{"what is no UTF-8", portfolio.NDJSON, "{\"embossName\":\"\xff\"}", 0, []string{"1: the row has NUL or bytes that are not UTF-8."}},
		{"a line without an end in sight", portfolio.NDJSON, strings.Repeat("x", 1<<20) + "\n" + row, 1, []string{"1: the line is too long."}},
		{"numbers in the place of text", portfolio.NDJSON, `{"pan":9999990000000014,"sequence":1}`, 0, []string{"1: sequence must be of type string. pan must be of type string."}},
		{"null is nothing", portfolio.NDJSON, `{"pan":"9999990000000014","expiry":null,"pin":null}`, 1, nil},
		{"CSV with a mark, quotes and blanks", portfolio.CSV, "\ufeffpan, embossName\r\n\"9999990000000014\",\"O'NEIL, J\"\r\n", 1, nil},
		{"CSV of a header alone", portfolio.CSV, "pan\n", 0, nil},
		{"a quote that does not end", portfolio.CSV, "pan\n9999990000000014\n\"99999", 1, []string{"3: it is not CSV."}},
		{"a cell over two lines, and the line after it", portfolio.CSV, "pan,references.alias\n9999990000000014,\"A_1\nA_2\"\n1,\n", 1, []string{"4: pan does not match the required format."}},
		{"cells too many", portfolio.CSV, "pan\n9999990000000014,1\n", 0, []string{"2: it has 2 cells, and there are 1 columns."}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := &recording{}
			known, err := schema()
			require.NoError(t, err)
			var rejected []string
			total, err := portfolio.Import(operating(), v, known, strings.NewReader(test.file), portfolio.ImportOptions{Format: test.format, ProgramID: "program",
				Progress: func(int) {}, Rejected: func(r portfolio.Rejected) error {
					rejected = append(rejected, fmt.Sprintf("%d: %s", r.Line, strings.Join(r.Reasons, " ")))
					return nil
				}})
			require.NoError(t, err)
			require.Equal(t, test.rejected, rejected)
			require.Equal(t, test.imported, total.Imported)
			require.Len(t, v.arrivals, test.imported)
			for _, a := range v.arrivals {
				require.Equal(t, "program", a.ProgramID)
			}
		})
	}
}

// recording is a vault that lets everybody in.
type recording struct {
	portfolio.Vault
	arrivals []pin.Arrival
}

func (r *recording) Import(_ context.Context, all []pin.Arrival, _ bool) ([]pin.Fate, error) {
	r.arrivals = append(r.arrivals, all...)
	return make([]pin.Fate, len(all)), nil
}

// A row keeps the program that it names.
func TestRowNamesItsProgram(t *testing.T) {
	t.Parallel()
	v := &recording{}
	known, err := schema()
	require.NoError(t, err)
	o := portfolio.ImportOptions{Format: portfolio.NDJSON, ProgramID: "program", Progress: func(int) {}, Rejected: func(r portfolio.Rejected) error { return fmt.Errorf("%v", r) }}
	file := `{"programId":"other","pan":"9999990000000014"}` + "\n" + `{ }` + "\n" + `{"pan":"9999990000000022"}`
	_, err = portfolio.Import(operating(), v, known, strings.NewReader(file), o)
	require.NoError(t, err)
	require.Equal(t, []string{"other", "program", "program"}, []string{v.arrivals[0].ProgramID, v.arrivals[1].ProgramID, v.arrivals[2].ProgramID})
	o.ProgramID = ""
	_, err = portfolio.Import(operating(), v, known, strings.NewReader(`{"pan":"9999990000000022"}`), o)
	require.ErrorContains(t, err, "programId is required")
}

// Whatever is wrong with a row, its values stay where they are.
func TestReportsTellNoValues(t *testing.T) {
	t.Parallel()
	planted := []string{"4929123412341234", "0123456789ABCDEF", "PLANTED"}
	known, err := schema()
	require.NoError(t, err)
	for _, file := range []string{
		`{"pan":"4929123412341234X"}`, `{"PLANTED":"PLANTED"}`, `{"pan":"4929123412341234","pin":"PLANTED"}`, `{"pan":4929123412341234}`,
		`{"pin":{"block":{"pinBlock":"0123456789ABCDEF"}}}`, `{"pin":{"PLANTED":{}}}`, `{"pan":"4929123412341234",}`, `{"status":"PLANTED"}`,
		`{"references":[{"kind":"PLANTED","value":"4929123412341234"},{"kind":"urn","value":"PLANTED"}]}`, `PLANTED`, `{"emailAddress":"PLANTED"}`,
	} {
		_, err := portfolio.Import(operating(), &recording{}, known, strings.NewReader(file), portfolio.ImportOptions{Format: portfolio.NDJSON, ProgramID: "program",
			Progress: func(int) {}, Rejected: func(r portfolio.Rejected) error {
				require.NotEmpty(t, r.Reasons)
				for _, secret := range planted {
					require.NotContains(t, strings.Join(r.Reasons, " "), secret, file)
				}
				return nil
			}})
		require.NoError(t, err)
	}
}

// broken is a vault that ends after some batches.
type broken struct {
	portfolio.Vault
	left int
}

func (b *broken) Import(ctx context.Context, all []pin.Arrival, dry bool) ([]pin.Fate, error) {
	if b.left--; b.left < 0 {
		return nil, &pin.Error{Code: pin.Unavailable}
	}
	return b.Vault.Import(ctx, all, dry)
}

func TestImportThatBrokeOffIsMadeAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store) {
		h := movedInto(t, s)
		var rows []map[string]any
		for i := range 2500 {
			rows = append(rows, map[string]any{"pan": panOf(i), "references": []map[string]any{{"kind": "urn", "value": fmt.Sprint(i%2400 + 1)}}})
		}
		file := lines(t, rows...)
		_, err := portfolio.Import(operating(), &broken{h, 1}, h.schema, strings.NewReader(file), portfolio.ImportOptions{Format: portfolio.NDJSON, ProgramID: "program",
			Progress: func(int) {}, Rejected: func(portfolio.Rejected) error { return nil }})
		require.ErrorIs(t, err, &pin.Error{Code: pin.Unavailable})
		total, rejected := h.moveIn(portfolio.NDJSON, file)
		require.Len(t, rejected, 100, "%v", rejected[:2])
		require.Equal(t, portfolio.Summary{Rows: 2500, There: 1000, Imported: 1400, Rejected: 100}, total)
		require.Equal(t, "2401: the card is there already, and differs in pan.", rejected[0])
		require.EqualValues(t, 2400, h.whole().Cards)
	})
}

func TestExamplesOfTheDocsMoveIn(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store) {
		h := movedInto(t, s)
		for i, name := range []string{"cards.ndjson", "cards.csv"} {
			text, err := os.ReadFile("../../docs/portfolio/" + name)
			require.NoError(t, err)
			total, rejected := h.moveIn(portfolio.FormatOf(name), string(text))
			require.Empty(t, rejected)
			require.Equal(t, []portfolio.Summary{{Rows: 4, Imported: 4}, {Rows: 4, There: 4}}[i], total, "the same cards")
		}
	})
}

func TestColumnsAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	known, err := schema()
	require.NoError(t, err)
	columns := known.Columns()
	for _, name := range []string{"pan", "programId", "cardId", "references.alias", "references.urn", "pin.block.pinBlock", "pin.pvv.pvki", "pin.offset.offset", "remainingTries"} {
		require.Contains(t, columns, name)
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(columns))), len(columns))
	require.Equal(t, portfolio.CSV, portfolio.FormatOf("a/B.CSV"))
	require.Equal(t, portfolio.NDJSON, portfolio.FormatOf("cards.jsonl"))
	require.Empty(t, portfolio.FormatOf("cards.txt"))
}
