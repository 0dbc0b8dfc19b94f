package journal

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"pinvault/generated/sandbox"
	"pinvault/impl/contract"
	"pinvault/impl/rows"
)

// Reading says what a reader is told.
type Reading struct {
	Documents map[string]*contract.Document
	// Docs is a row's place in the documentation, "" where it has none; nil: none has.
	Docs func(contract, row string) string
	// PINs are those of the sandbox's cards: they are masked in texts and paths too.
	PINs []string
	// CardName is the name of a card in the fixtures, "" where it has none; nil: none has.
	CardName func(cardID string) string
}

// Reader makes of entries what may be shown. One serves all journals; it may be used by many goroutines at once.
type Reader struct {
	reading Reading
	secret  map[string]names // by contract, "" where it is not known
	rows    map[string]func() map[string][]documented
	told    map[string]rows.ErrorReference
	pins    pins
	fates   map[string]rows.Fate // by their ids
	cards   map[string]rows.Fate // by the name of a card
}

// NewReader makes a reader.
func NewReader(o Reading) *Reader {
	r := &Reader{reading: o, secret: map[string]names{}, rows: map[string]func() map[string][]documented{}, told: map[string]rows.ErrorReference{},
		pins: pins{}, fates: map[string]rows.Fate{}, cards: map[string]rows.Fate{}}
	for _, digits := range o.PINs {
		r.pins[digits] = digits != ""
	}
	if o.Docs == nil {
		r.reading.Docs = func(string, string) string { return "" }
	}
	if o.CardName == nil {
		r.reading.CardName = func(string) string { return "" }
	}
	r.secret[""] = namesOf(slices.Collect(maps.Values(o.Documents))...)
	for name, document := range o.Documents {
		r.secret[name] = namesOf(document).with(sentBy(slices.Collect(maps.Values(o.Documents))...))
		r.told[name], _ = rows.ErrorReferenceOf(document.Spec()) // a test of the documents says that they can be read
		r.rows[name] = sync.OnceValue(func() map[string][]documented { return rowsOf(document, r.told[name]) })
		fates, _ := rows.Fates(document.Spec()) // the same
		for _, f := range fates {
			r.fates[f.ID()] = f
			if f.Card != "" {
				r.cards[f.Card] = f
			} else {
				r.pins[f.PIN] = true
			}
		}
	}
	return r
}

// rowsOf are a document's rows, by operation.
func rowsOf(d *contract.Document, told rows.ErrorReference) map[string][]documented {
	all, _ := rows.All(d.Spec()) // the same
	byOperation := map[string][]documented{}
	for _, row := range all {
		byOperation[row.Operation] = append(byOperation[row.Operation], documentedOf(row, told))
	}
	return byOperation
}

// List are the entries that the filter chooses, newest first.
func (j *Journal) List(f Filter) []sandbox.Entry {
	all := []sandbox.Entry{}
	for _, e := range j.entries(f.Before) {
		if f.Limit > 0 && len(all) == f.Limit {
			break
		}
		if j.reader.fits(e, f) {
			all = append(all, j.reader.Entry(e))
		}
	}
	return all
}

// fits tells whether a filter chooses an entry.
func (r *Reader) fits(e *Entry, f Filter) bool {
	if f.Client != "" && e.client != f.Client || f.Operation != "" && e.operation != f.Operation || f.Card != "" && !e.found(f.Card) {
		return false
	}
	if f.Row == "" {
		return true
	}
	row := r.row(e)
	_, name, _ := strings.Cut(row, "/")
	return row == f.Row || name != "" && name == f.Row
}

// row is the documented row that was answered with, operation/name, "" where none fits.
func (r *Reader) row(e *Entry) string {
	e.fitting.Do(func() {
		if e.fitted = e.row; e.fitted == "" && e.status != 0 && r.rows[e.contract] != nil {
			if all := r.rows[e.contract]()[e.operation]; len(all) > 0 {
				e.fitted = fit(r.exchange(e, all[0].template), all, r.due(e))
			}
		}
	})
	return e.fitted
}

// due is why an entry's call was answered as it was, as far as that is known.
func (r *Reader) due(e *Entry) due {
	why := due{rule: r.fates[e.rule].Rows[e.contract], fault: e.fault}
	for _, c := range e.cards {
		if name := r.reading.CardName(c.id); name != "" {
			why.cards = append(why.cards, r.cards[name].Rows[e.contract]...)
		}
	}
	return why
}

// exchange is what an entry has to be compared with rows by.
func (r *Reader) exchange(e *Entry, template string) exchange {
	x := exchange{said: facts{}, status: e.status, media: rows.MediaType(value(e.replied, "Content-Type"))}
	x.said.path(template, e.path)
	for _, f := range e.header {
		x.said.add(f.name, f.value)
	}
	x.said.body(value(e.header, "Content-Type"), e.message())
	answer := e.answered()
	if e.inside != nil {
		x.reply, _ = rows.DecodeJSON(e.inside)
	} else if len(answer) > 0 {
		x.reply, _ = rows.Decode(x.media, answer)
	}
	x.code = r.told[e.contract].CodeOf(x.reply)
	return x
}

// message is what the request says: of a sealed one what was inside.
func (e *Entry) message() []byte {
	if e.opened != nil {
		return e.opened
	}
	return e.sent.kept
}

// answered is the body of the reply as it reads.
func (e *Entry) answered() []byte {
	if value(e.replied, "Content-Encoding") != "gzip" {
		return e.answer.kept
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(e.answer.kept))
	if err != nil {
		return e.answer.kept
	}
	text, _ := io.ReadAll(io.LimitReader(unzipped, maxBody)) // of one that was cut, what there is
	return text
}

// Entry is an entry as it may be shown.
func (r *Reader) Entry(e *Entry) sandbox.Entry {
	secret := r.secret[e.contract]
	if secret == nil {
		secret = r.secret[""]
	}
	shown := sandbox.Entry{
		Number: e.number, At: e.at, Ms: math.Round(e.took.Seconds()*1e6) / 1e3,
		Contract: told(e.contract), Operation: told(e.operation), Client: told(text(e.client)), Rule: told(e.rule), Cut: marked(e.cut),
		Cards: []sandbox.EntryCard{},
	}
	if row := r.row(e); row != "" {
		shown.Row, shown.Docs = &row, told(r.reading.Docs(e.contract, row))
	}
	sent, replied := r.headers(secret, e.header), r.headers(secret, e.replied)
	hide := r.pins.hide
	shown.Request = sandbox.EntryRequest{Method: verb(e.method), Path: hide(secret.path(e.path)), Header: joined(sent),
		Body: told(hide(secret.body(value(e.header, "Content-Type"), e.sent.kept))), Opened: told(hide(secret.json(string(e.opened)))), Truncated: marked(e.sent.more)}
	shown.Reply = sandbox.EntryReply{Status: statusOf(e.status), Header: joined(replied),
		Body: told(hide(secret.body(value(e.replied, "Content-Type"), e.answered()))), Opened: told(hide(secret.json(string(e.inside)))), Truncated: marked(e.answer.more)}
	shown.Curl = curl(e.origin()+hide(secret.path(e.target)), shown.Request, sent)
	for _, c := range e.cards {
		one := sandbox.EntryCard{CardID: c.id, Name: told(r.reading.CardName(c.id)), Changes: []sandbox.EntryChange{}}
		for _, s := range c.steps {
			one.Changes = append(one.Changes, changesOf(s)...)
		}
		shown.Cards = append(shown.Cards, one)
	}
	return shown
}

// origin is where the call was sent.
func (e *Entry) origin() string {
	if e.secure {
		return "https://" + e.host
	}
	return "http://" + e.host
}

// verb is a method, masked where it is none that anybody would have.
func verb(method string) string {
	if letters(method) {
		return method
	}
	return masked
}

// headers are those that may be shown, by name.
func (r *Reader) headers(n names, all []field) []field {
	shown := make([]field, len(all))
	for i, f := range all {
		shown[i] = field{text(f.name), n.headerValue(f.name, f.value)}
		if f.name != "Content-Length" {
			shown[i].value = r.pins.hide(shown[i].value)
		}
	}
	slices.SortStableFunc(shown, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	return shown
}

// joined are headers by name; one that was sent several times has its values after one another (RFC 9110, 5.3).
func joined(all []field) map[string]string {
	byName := map[string]string{}
	for _, f := range all {
		if before, again := byName[f.name]; again {
			byName[f.name] = before + ", " + f.value
		} else {
			byName[f.name] = f.value
		}
	}
	return byName
}

// body masks a body by its type.
func (n names) body(contentType string, body []byte) string {
	s := strings.ReplaceAll(strings.ToValidUTF8(string(body), "\uFFFD"), "\x00", "\uFFFD")
	switch trimmed := strings.TrimSpace(s); {
	case trimmed == "":
		return s
	case rows.IsJSON(contentType) || strings.ContainsRune("{[\"", rune(trimmed[0])): // which is read as JSON, whatever it was called
		return n.json(s)
	case rows.MediaType(contentType) == rows.MediaForm:
		return n.form(s)
	case strings.HasPrefix(trimmed, "<") || strings.Contains(contentType, "javascript"): // a page or a script of the server's
		return text(s)
	}
	return n.loose(s)
}

// statusOf is a status, left out where there was none.
func statusOf(status int) *int32 {
	if status == 0 {
		return nil
	}
	out := int32(status) //nolint:gosec // of three digits
	return &out
}

// told is a text that is left out where it is "".
func told(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// marked is a mark that is left out where it is not set.
func marked(set bool) *bool {
	if !set {
		return nil
	}
	return &set
}
