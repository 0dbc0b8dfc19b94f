package portfolio

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"pinvault/impl/contract"
	"pinvault/impl/issuer"
)

// Format is how a file is written.
type Format string

// The formats.
const (
	NDJSON Format = "ndjson"
	CSV    Format = "csv"
)

// FormatOf is the format of a file by its name; "" where that does not tell.
func FormatOf(name string) Format {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return CSV
	case ".ndjson", ".jsonl":
		return NDJSON
	}
	return ""
}

// Schema is what a row may have.
type Schema struct {
	operator *issuer.Operator
	columns  []column
}

// column is a member of a row, or of an object in it, as a column of CSV.
type column struct {
	name string   // the members on the way to it, with full stops between
	path []string // the same
	kind string   // string, integer or boolean; of a reference its kind
}

// references is the member whose items have a column by kind: references.urn, an item a line of the cell.
const references = "references"

// NewSchema is the schema of rows as the operator's document has it.
func NewSchema(o *issuer.Operator) (*Schema, error) {
	members, err := o.PortfolioMembers()
	if err != nil {
		return nil, err
	}
	kinds, err := o.ReferenceKinds()
	if err != nil {
		return nil, err
	}
	s := &Schema{operator: o}
	s.add(nil, members, kinds)
	return s, nil
}

func (s *Schema) add(above []string, members []contract.Member, kinds []string) {
	for _, m := range members {
		path := append(slices.Clip(above), m.Name)
		switch {
		case m.Name == references:
			for _, kind := range kinds {
				s.columns = append(s.columns, column{references + "." + kind, []string{references}, kind})
			}
		case m.Type == "object":
			s.add(path, m.Members(), kinds)
		default:
			s.columns = append(s.columns, column{strings.Join(path, "."), path, m.Type})
		}
	}
}

// Columns are the names of all columns, in their order.
func (s *Schema) Columns() []string {
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = c.name
	}
	return names
}

// inTheClear is what is said to whoever sends PINs that anybody could read.
const inTheClear = "PINs in the clear are not taken: send a PIN block, a PVV or an offset, or no PIN."

// header are the columns of a file by its first line.
func (s *Schema) header(names []string) ([]column, error) {
	var all []column
	var unknown []string
	for i, name := range names {
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff") // as Excel begins a file
		}
		name = strings.TrimSpace(name)
		at := slices.IndexFunc(s.columns, func(c column) bool { return c.name == name })
		switch {
		case at < 0 && clearPIN(name):
			return nil, errors.New("the column " + name + ": " + inTheClear)
		case at < 0:
			unknown = append(unknown, fmt.Sprintf("%q", name))
		case slices.ContainsFunc(all, func(c column) bool { return c.name == name }):
			return nil, errors.New("there are two columns " + name)
		default:
			all = append(all, s.columns[at])
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("the first line must name the columns; %s is none. There are %s", strings.Join(unknown, ", "), strings.Join(s.Columns(), ", "))
	}
	return all, nil
}

// clearPIN tells whether a member that there is not is one of those in which PINs are kept in the clear.
func clearPIN(name string) bool {
	name = strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' || r == '.' {
			return -1
		}
		return r
	}, strings.ToLower(name))
	return slices.Contains([]string{"pin", "clearpin", "plainpin", "pinclear", "cardpin", "pinvalue", "pincode", "pinnumber"}, name)
}
