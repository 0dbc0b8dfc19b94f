package portfolio

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// line is a row as it stands in a file.
type line struct {
	number int    // of its first line, from 1
	text   []byte // JSON
	fault  string // why it cannot be read, "" where it can
}

// reader reads the rows of a file one by one. io.EOF ends them; any other error is of the file as a whole.
type reader interface{ next() (line, error) }

// maxLine is longer than any row, in bytes: those of a request's body.
const maxLine = 64 << 10

func (s *Schema) reader(from io.Reader, f Format) (reader, error) {
	if f == CSV {
		return s.csvReader(from)
	}
	return &ndjsonReader{from: bufio.NewReaderSize(from, maxLine)}, nil
}

// ndjsonReader reads an object a line. Empty lines count, and are none.
type ndjsonReader struct {
	from   *bufio.Reader
	number int
}

func (r *ndjsonReader) next() (line, error) {
	for {
		text, err := r.from.ReadSlice('\n')
		r.number++
		l := line{number: r.number}
		if errors.Is(err, bufio.ErrBufferFull) {
			l.fault = "the line is too long."
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.from.ReadSlice('\n')
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return line{}, err
		}
		if r.number == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			l.text = bytes.Clone(text)
			return l, nil
		}
		if err != nil {
			return line{}, io.EOF
		}
	}
}

// csvReader makes an object of each record.
type csvReader struct {
	from    *csv.Reader
	columns []column
}

func (s *Schema) csvReader(from io.Reader) (reader, error) {
	r := csv.NewReader(from)
	r.ReuseRecord = true
	names, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: its first line must name the columns")
	}
	if err != nil {
		return nil, errors.New("the first line, which must name the columns, is not CSV")
	}
	columns, err := s.header(names)
	return &csvReader{r, columns}, err
}

func (r *csvReader) next() (line, error) {
	cells, err := r.from.Read()
	var l line
	if broken, ok := errors.AsType[*csv.ParseError](err); ok {
		l.number = broken.StartLine
		if l.fault = "it is not CSV."; errors.Is(broken, csv.ErrFieldCount) {
			l.fault = "it has " + strconv.Itoa(len(cells)) + " cells, and there are " + strconv.Itoa(len(r.columns)) + " columns."
		}
		return l, nil
	}
	if err != nil {
		return line{}, err
	}
	l.number, _ = r.from.FieldPos(0)
	l.text, err = json.Marshal(object(r.columns, cells))
	return l, err
}

// object is a record as JSON has it. An empty cell says nothing.
func object(columns []column, cells []string) map[string]any {
	row := map[string]any{}
	for i, c := range columns {
		cell := cells[i]
		if cell == "" {
			continue
		}
		if c.path[0] == references {
			for one := range strings.Lines(cell) {
				row[references] = append(list(row[references]), map[string]any{"kind": c.kind, "value": strings.TrimRight(one, "\r\n")})
			}
			continue
		}
		into := row
		for _, step := range c.path[:len(c.path)-1] {
			inner, ok := into[step].(map[string]any)
			if !ok {
				inner = map[string]any{}
				into[step] = inner
			}
			into = inner
		}
		into[c.path[len(c.path)-1]] = valueOf(c.kind, cell)
	}
	return row
}

func list(of any) []any {
	all, _ := of.([]any)
	return all
}

// valueOf is what a cell stands for. What is no number stays text, of which the schema will say so.
func valueOf(kind, cell string) any {
	if kind == "integer" {
		if n, err := strconv.ParseInt(cell, 10, 64); err == nil {
			return n
		}
	}
	return cell
}
