package portfolio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"pinvault/impl/contract"
	"pinvault/impl/issuer"
	"pinvault/impl/pin"
)

// Vault is what the cards move into and out of.
type Vault interface {
	Import(ctx context.Context, all []pin.Arrival, dry bool) ([]pin.Fate, error)
	Departing(ctx context.Context, programID string, pans bool, keyID string) error
	Export(ctx context.Context, programID string, page pin.Page, packing *pin.Packing) ([]pin.Departure, error)
}

// Rejected is a row that did not move in.
type Rejected struct {
	Line    int      `json:"line"`    // of the file, from 1
	Reasons []string `json:"reasons"` // sentences, which hold no value of the row
}

// Summary counts rows.
type Summary struct {
	Rows     int `json:"rows"`
	Imported int `json:"imported"`     // of a dry run: that would be
	There    int `json:"alreadyThere"` // with the same content
	Rejected int `json:"rejected"`
}

// ImportOptions say how a file is imported.
type ImportOptions struct {
	Format    Format
	ProgramID string               // of rows that name none, "": they must
	DryRun    bool                 // write nothing
	Rejected  func(Rejected) error // hears of each row that does not move in, in the order of the file
	Progress  func(rows int)       // hears now and then how many rows were seen to
}

// batchSize is how many rows are seen to at once, in one transaction.
const batchSize = 1000

// batch are rows under way.
type batch struct {
	lines    []line
	arrivals []pin.Arrival
	faults   [][]string // of those that cannot arrive
}

// Import moves the cards of a file in. While one batch is written the next one is read and held against the document, so that never
// more than a few are in memory. The error is of the file as a whole, or what kept the vault from going on: then what was written stays,
// and the same import made again goes on there.
func Import(ctx context.Context, v Vault, s *Schema, from io.Reader, o ImportOptions) (Summary, error) {
	rows, err := s.reader(from, o.Format)
	if err != nil {
		return Summary{}, err
	}
	var total Summary
	read := make(chan *batch, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(read)
		for {
			b, err := s.read(rows, o.ProgramID)
			if err != nil || len(b.lines) == 0 {
				return err
			}
			select {
			case read <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	group.Go(func() error {
		for b := range read {
			if err := b.moveIn(ctx, v, o, &total); err != nil {
				return err
			}
			o.Progress(total.Rows)
		}
		return nil
	})
	err = group.Wait()
	return total, err
}

// read reads a batch and finds out what its rows are. One without rows is the end.
func (s *Schema) read(rows reader, programID string) (*batch, error) {
	b := &batch{}
	for len(b.lines) < batchSize {
		l, err := rows.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		b.lines = append(b.lines, l)
	}
	b.arrivals, b.faults = make([]pin.Arrival, len(b.lines)), make([][]string, len(b.lines))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(b.lines)); i = next.Add(1) - 1 {
				b.arrivals[i], b.faults[i] = s.arrival(&b.lines[i], programID)
			}
		})
	}
	workers.Wait()
	return b, nil
}

// arrival is what a line says, or what is wrong with it. The line is cleared.
func (s *Schema) arrival(l *line, programID string) (pin.Arrival, []string) {
	defer clear(l.text)
	if l.fault != "" {
		return pin.Arrival{}, []string{l.fault}
	}
	text := l.text
	if programID != "" {
		text = withProgram(text, programID)
		defer clear(text)
	}
	a, err := s.operator.Arrival(text)
	if err == nil {
		return a, nil
	}
	return pin.Arrival{}, s.reasons(text, err)
}

// withProgram is a row that names a program, if it named none.
func withProgram(text []byte, programID string) []byte {
	var names struct {
		ProgramID *json.RawMessage `json:"programId"`
	}
	rest, ok := bytes.CutPrefix(text, []byte("{"))
	if json.Unmarshal(text, &names) != nil || names.ProgramID != nil || !ok {
		return bytes.Clone(text)
	}
	named, _ := json.Marshal(map[string]string{"programId": programID})
	named = named[:len(named)-1]
	if !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("}")) {
		named = append(named, ',')
	}
	return append(named, rest...)
}

// moveIn lets a batch move in, and reports what did not.
func (b *batch) moveIn(ctx context.Context, v Vault, o ImportOptions, total *Summary) error {
	var arrivals []pin.Arrival
	var at []int
	for i := range b.lines {
		if b.faults[i] == nil {
			arrivals, at = append(arrivals, b.arrivals[i]), append(at, i)
		}
	}
	fates, err := v.Import(ctx, arrivals, o.DryRun)
	if err != nil {
		return err
	}
	for n, f := range fates {
		switch i := at[n]; {
		case f.Err != nil:
			b.faults[i] = []string{turnedAway(f)}
		case f.There:
			total.There++
		default:
			total.Imported++
		}
	}
	for i, reasons := range b.faults {
		if reasons == nil {
			continue
		}
		total.Rejected++
		if err := o.Rejected(Rejected{b.lines[i].number, reasons}); err != nil {
			return err
		}
	}
	total.Rows += len(b.lines)
	return nil
}

// reasons are the sentences for what keeps a row from being one.
func (s *Schema) reasons(text []byte, err error) []string {
	broken, ok := errors.AsType[contract.Broken](err)
	if !ok {
		return []string{turnedAway(pin.Fate{Err: err})}
	}
	var all []string
	for _, v := range broken {
		switch {
		case v.Pointer == "/pin" && v.Rule == contract.RuleType:
			all = append(all, inTheClear)
		case v.Pointer == "/pin" && v.Limit == "1":
			all = append(all, "pin must have one of block, pvv and offset.")
		case v.Rule == contract.RuleAdditionalProperties:
			all = append(all, s.unknown(text, v.Pointer))
		default:
			all = append(all, issuer.Sentence(v, member(v.Pointer)))
		}
	}
	return all
}

// unknown is the sentence for members that an object should not have. Their names are the file's own and are not repeated,
// for a name may be anything.
func (s *Schema) unknown(text []byte, pointer string) string {
	var top map[string]json.RawMessage
	if pointer == "" && json.Unmarshal(text, &top) == nil {
		for name := range top {
			if name != "pin" && clearPIN(name) {
				return inTheClear
			}
		}
		return "there are members that no row has."
	}
	return member(pointer) + " has members that it should not have."
}

// member is what the thing at a pointer is called.
func member(pointer string) string {
	if pointer == "" {
		return "the row"
	}
	return strings.ReplaceAll(strings.TrimPrefix(pointer, "/"), "/", ".")
}

// words say what an error of the vault means; {} is the field's name.
var words = map[pin.Code]string{
	pin.NotFound:     "there is no such program.",
	pin.Forbidden:    "there is no such program.",
	pin.Ambiguous:    "nothing tells it from other cards: it needs a pan, a reference that no other card has, or a cardId.",
	pin.UnknownKey:   "pin names a key that is not there, is retired, or is for something else.",
	pin.UnfitBlock:   "pin.block.format is none that its key is for.",
	pin.Unopenable:   "pin.block.pinBlock cannot be opened: it is of another key, PAN or format.",
	pin.PINLength:    "the PIN has more or fewer digits than the program's PINs.",
	pin.InvalidField: "{} has an invalid value.",
	pin.Conflict:     "it was changed by somebody else at the same time: import the file again.",
	pin.Duplicate:    "the program has another card with this {}.",
}

// fieldWords say it for some fields.
var fieldWords = map[string]string{
	"pan":       "a card with a PIN needs a pan, of a length that the PIN's form takes.",
	"maskedPan": "the PAN is masked: export with --pan.",
	"cardId":    "there is another card with this cardId.",
}

// turnedAway is the sentence for why a row did not move in.
func turnedAway(f pin.Fate) string {
	code, field := pin.CodeOf(f.Err), pin.FieldOf(f.Err)
	says, known := words[code]
	switch other, special := fieldWords[field]; {
	case !known:
		return "it was refused: " + string(code) + "."
	case len(f.Differ) > 0:
		return "the card is there already, and differs in " + strings.Join(f.Differ, ", ") + "."
	case special && (code == pin.InvalidField || field == "cardId"):
		return other
	}
	return strings.ReplaceAll(says, "{}", field)
}
