package portfolio

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// writer writes rows as a reader reads them.
type writer interface {
	write(row any) error
	flush() error
}

func (s *Schema) writer(to io.Writer, f Format) (writer, error) {
	if f == CSV {
		w := &csvWriter{csv.NewWriter(to), s.columns}
		return w, w.to.Write(s.Columns())
	}
	buffered := bufio.NewWriter(to)
	lines := json.NewEncoder(buffered)
	lines.SetEscapeHTML(false)
	return &ndjsonWriter{buffered, lines}, nil
}

type ndjsonWriter struct {
	to    *bufio.Writer
	lines *json.Encoder
}

func (w *ndjsonWriter) write(row any) error { return w.lines.Encode(row) }
func (w *ndjsonWriter) flush() error        { return w.to.Flush() }

type csvWriter struct {
	to      *csv.Writer
	columns []column
}

func (w *csvWriter) write(row any) error {
	text, err := json.Marshal(row)
	if err != nil {
		return err
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	cells := make([]string, len(w.columns))
	for i, c := range w.columns {
		cells[i] = cellOf(members, c)
	}
	return w.to.Write(cells)
}

func (w *csvWriter) flush() error {
	w.to.Flush()
	return w.to.Error()
}

// cellOf is what a row has in a column, "" where it has nothing.
func cellOf(row map[string]any, c column) string {
	if c.path[0] == references {
		var values []string
		for _, one := range list(row[references]) {
			if of, _ := one.(map[string]any); of["kind"] == c.kind {
				values = append(values, fmt.Sprint(of["value"]))
			}
		}
		return strings.Join(values, "\n")
	}
	var at any = row
	for _, step := range c.path {
		of, _ := at.(map[string]any)
		at = of[step]
	}
	if at == nil {
		return ""
	}
	return fmt.Sprint(at)
}
