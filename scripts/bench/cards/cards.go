// Package cards is the file by which callers know what cards there are. scripts/bench/load writes it, a card a line with
// blanks between what is known of it; scripts/bench/load reads it when it seals requests, scripts/bench/run and call.lua
// when they call.
package cards

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// Card is what callers know of one, in the order of its line.
type Card struct {
	Token string // its public token
	ID    string
	PIN   string
	Block string // the PIN as a block of format 0 (ISO 9564-1) under the zone PIN key, upper-case hex
	PAN   string
}

// Line is the card's line, without its end.
func (c Card) Line() string { return strings.Join([]string{c.Token, c.ID, c.PIN, c.Block, c.PAN}, " ") }

// Read reads a file of lines. One without cards is an error, and so is a line that is no card's.
func Read(path string) (all []Card, err error) {
	f, err := os.Open(path) //nolint:gosec // whoever starts it says where
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 5 {
			return nil, fmt.Errorf("%s has a line of %d fields", path, len(fields))
		}
		all = append(all, Card{fields[0], fields[1], fields[2], fields[3], fields[4]})
	}
	if err := lines.Err(); err != nil || len(all) > 0 {
		return all, err
	}
	return nil, fmt.Errorf("%s has no cards", path)
}
