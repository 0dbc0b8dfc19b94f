package journal

import (
	"math"

	"pinvault/generated/sandbox"
	"pinvault/impl/contract"
)

// Reading says what a reader is told besides the documents.
type Reading struct {
	Documents map[string]*contract.Document
	// Docs is a row's place in the documentation, as a path, "" where there is none; nil: rows have no place.
	Docs func(contract, operation, example string) string
	// CardName is the name of a card in the fixtures, "" where it has none; nil: none has.
	CardName func(cardID string) string
}

// Reader makes of entries what may be shown. One serves all journals; it may be used by many goroutines at once.
type Reader struct{ reading Reading }

// NewReader makes a reader.
func NewReader(o Reading) *Reader { return &Reader{reading: o} }

// List are the entries that the filter chooses, newest first.
func (j *Journal) List(f Filter) []sandbox.Entry {
	all := []sandbox.Entry{}
	for _, e := range j.entries(0, f.Before) {
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
	return (f.Client == "" || e.client == f.Client) && (f.Operation == "" || e.operation == f.Operation) && (f.Card == "" || e.found(f.Card))
}

// Entry is an entry as it may be shown.
func (r *Reader) Entry(e *Entry) sandbox.Entry {
	return sandbox.Entry{
		Number: e.number, At: e.at, Ms: math.Round(e.took.Seconds()*1e6) / 1e3,
		Contract: told(e.contract), Operation: told(e.operation), Client: told(e.client), Rule: told(e.rule), Row: told(e.row),
	}
}

// told is a text that is left out where it is "".
func told(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
