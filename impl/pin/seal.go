package pin

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// encode and decode are how everything is written that rests under a seal or in the trail. Seals cover
// the text as it stands, so it need not be the only way to write it.
func encode(what any) ([]byte, error) {
	text, err := json.Marshal(what, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, &Error{Code: Internal, Err: errEncoding} // whose text would quote it
	}
	return text, nil
}

func decode(text []byte, into any) bool {
	return json.Unmarshal(text, into, jsontext.AllowInvalidUTF8(true)) == nil
}

var errEncoding = errors.New("what was to be kept cannot be written")

// Everything that decides about a card or a caller rests under a seal: a MAC, under a key of its own use,
// over the whole row and its place. A row that was changed, moved or put together from two fails its
// seal, and the operation that needs it ends as Internal with nothing changed.

// errTampered is the cause of an Internal: what the database holds was not written by this vault.
var errTampered = errors.New("tampered: the seal is broken")

// Tampered tells whether an error comes of a broken seal.
func Tampered(err error) bool { return errors.Is(err, errTampered) }

// OnTampered has alarm called for every broken seal that is met, with the table and the row's id.
func (v *Vault) OnTampered(alarm func(ctx context.Context, table, id string)) { v.alarm = alarm }

// broken raises the alarm.
func (v *Vault) broken(ctx context.Context, table, id string) error {
	if v.alarm != nil {
		v.alarm(ctx, table, id)
	}
	return &Error{Code: Internal, Err: errTampered}
}

// sealInput is what a row's seal covers.
func (r Row) sealInput() []byte {
	return frame(string(r.Table), r.ID, r.ProgramID, r.CardID, strconv.FormatInt(r.Version, 10), strconv.FormatInt(r.ExpiresAt, 10), string(r.Body))
}

// sealInput is what a card's seal covers. Its five parts are no other row's seven.
func (r CardRow) sealInput() []byte {
	return frame(r.ID, r.ProgramID, strconv.FormatInt(r.Revision, 10), string(r.Details), string(r.Value))
}

// Sealed is a row that says body, under its seal.
func Sealed(keys MACs, r Row, body any) (Row, error) {
	var err error
	if r.Body, err = encode(body); err != nil {
		return Row{}, err
	}
	r.Seal, err = keys.MAC(UseSeal, r.sealInput())
	return r, err
}

// unseal reads a row into body.
func unseal(keys MACs, r Row, body any) error {
	if !keys.VerifyMAC(UseSeal, r.sealInput(), r.Seal) || !decode(r.Body, body) {
		return &Error{Code: Internal, Err: errTampered}
	}
	return nil
}

// unseal reads a row into body, and raises the alarm where its seal is broken.
func (v *Vault) unseal(ctx context.Context, r Row, body any) error {
	if unseal(v.keys, r, body) != nil {
		return v.broken(ctx, string(r.Table), r.ID)
	}
	return nil
}

// sealCard writes card and value of a record as its next revision.
func (v *Vault) sealCard(rec Record, detailsToo bool) (CardRow, error) {
	r := CardRow{ID: rec.Card.ID, ProgramID: rec.Card.ProgramID, Revision: rec.revision + 1, Details: rec.details}
	var err error
	if detailsToo {
		if r.Details, err = encode(rec.Card); err != nil {
			return CardRow{}, err
		}
	}
	if r.Value, err = encode(rec.PIN); err != nil {
		return CardRow{}, err
	}
	r.Seal, err = v.keys.MAC(UseSeal, r.sealInput())
	return r, err
}

// openCard reads a card without its program.
func openCard(keys MACs, r CardRow) (Record, error) {
	rec := Record{revision: r.Revision, details: r.Details}
	if !keys.VerifyMAC(UseSeal, r.sealInput(), r.Seal) ||
		!decode(r.Details, &rec.Card) || !decode(r.Value, &rec.PIN) ||
		rec.Card.ID != r.ID || rec.Card.ProgramID != r.ProgramID {
		return Record{}, &Error{Code: Internal, Err: errTampered}
	}
	return rec, nil
}

// openCard reads a card without its program, and raises the alarm where its seal is broken.
func (v *Vault) openCard(ctx context.Context, r CardRow) (Record, error) {
	rec, err := openCard(v.keys, r)
	if err != nil {
		return Record{}, v.broken(ctx, tableCards, r.ID)
	}
	return rec, nil
}

// record reads a card and its program.
func (v *Vault) record(ctx context.Context, r CardRow) (Record, error) {
	rec, err := v.openCard(ctx, r)
	if err != nil {
		return Record{}, err
	}
	rec.Program, err = v.programOf(ctx, r.ProgramID, r.ProgramVersion)
	return rec, err
}

// programVersion names a program as it was at one time, which never changes.
type programVersion struct {
	id      string
	version int64
}

// programOf is the program at that version, from the cache where it can be.
func (v *Vault) programOf(ctx context.Context, id string, version int64) (Program, error) {
	if p, ok := v.programs.Get(programVersion{id, version}); ok {
		return p, nil
	}
	p, err := v.program(ctx, id)
	if CodeOf(err) == NotFound { // a card without its program
		err = v.broken(ctx, string(TablePrograms), id)
	}
	return p, err
}

// micros is a time as rows keep it, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// ZoneKeys finds partners' keys for a keyring, under their seals.
type ZoneKeys struct {
	rows Rows
	keys MACs
}

// Rows finds a row. [Store] does.
type Rows interface {
	Row(ctx context.Context, t Table, programID, id string) (Row, error)
}

// NewZoneKeys makes the zone keys of a store whose seals keys verify.
func NewZoneKeys(rows Rows, keys MACs) *ZoneKeys { return &ZoneKeys{rows, keys} }

// ZoneKey finds a key, retired or not: NotFound, Unavailable.
func (z *ZoneKeys) ZoneKey(ctx context.Context, id string) (ZoneKey, error) {
	row, err := z.rows.Row(ctx, TableZoneKeys, "", id)
	if err != nil {
		return ZoneKey{}, err
	}
	var k ZoneKey
	return k, unseal(z.keys, row, &k)
}
