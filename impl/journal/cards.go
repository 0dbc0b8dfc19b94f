package journal

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pinvault/generated/sandbox"
	"pinvault/impl/pin"
)

// pinStates are a PIN's states as the sandbox's document names them.
var pinStates = map[pin.PINState]string{pin.PINNone: "none", pin.PINAssigned: "random", pin.PINChosen: "chosen"}

// internal are members of a card at rest that say nothing about it to anybody else.
var internal = []string{"id", "programId", "panIndex", "version", "createdAt", "updatedAt"}

// changesOf tells what a change of a card at rest has changed.
func changesOf(s step) []sandbox.EntryChange {
	before, after := stateOf(s.before), stateOf(s.after)
	var all []sandbox.EntryChange
	for _, field := range slices.Sorted(maps.Keys(union(before, after))) {
		if b, a := before[field], after[field]; b != a {
			all = append(all, sandbox.EntryChange{Field: field, Before: b.shown, After: a.shown})
		}
	}
	return all
}

// state is what a field of a card is, and what may be told of it.
type state struct{ is, shown string }

// stateOf is what a card at rest says, by field; nothing of one that was not yet made.
func stateOf(row pin.CardRow) map[string]state {
	all := map[string]state{}
	var value pin.Value
	if json.Unmarshal(row.Value, &value) == nil {
		tries := fmt.Sprint(value.TriesLeft)
		all["tries"] = state{tries, tries}
		all["pinState"] = state{string(value.State), pinStates[value.State]}
		if len(value.Verifier) > 0 || value.Brought != nil {
			all["pin"] = state{fmt.Sprint(value.Version), masked}
		}
	}
	var card map[string]any
	if json.Unmarshal(row.Details, &card) != nil {
		return all
	}
	for name, value := range card {
		switch {
		case slices.Contains(internal, name):
		case name == "references":
			maps.Copy(all, references(row.Details))
		case name == "pan":
			all[name] = state{scalar(value), masked}
		default:
			all[name] = state{scalar(value), text(scalar(value))}
		}
	}
	return all
}

// references are a card's, by kind.
func references(details []byte) map[string]state {
	var card pin.Card
	all := map[string]state{}
	if json.Unmarshal(details, &card) != nil {
		return all
	}
	byKind := map[string][]string{}
	for _, r := range card.References {
		byKind[string(r.Kind)] = append(byKind[string(r.Kind)], r.Value)
	}
	for kind, values := range byKind {
		joined := strings.Join(values, ", ")
		all[kind] = state{joined, text(joined)}
	}
	return all
}

func union[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
