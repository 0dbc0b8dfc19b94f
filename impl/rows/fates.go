package rows

import (
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Fate is what a card of a sandbox, or a PIN that is sent to it, makes come out by itself.
type Fate struct {
	Card string `json:"card"` // its name in the fixtures, "" of a PIN
	PIN  string `json:"pin"`  // "" of a card
	Name string `json:"name"` // the PIN's
	Text string `json:"text"` // the same in a sentence

	Fault   string `json:"fault"`   // a word for what fails once the card is found or the PIN was opened, "" where its state is enough
	DelayMs int    `json:"delayMs"` // how much longer a call takes once that has happened

	Rows map[string][]string `json:"rows"` // "operation/example" by contract: the answers to calls that are right in all else
}

// ID is how a fate is named where a rule's id stands. A PIN's says what it is for, and not the PIN.
func (f Fate) ID() string {
	if f.PIN != "" {
		return "pin-" + f.Name
	}
	return "card-" + strings.ReplaceAll(f.Card, "_", "-")
}

// Fates are those of a document, in its order: x-fates, of the sandbox's own.
func Fates(doc *openapi3.T) (all []Fate, err error) {
	if err = Extension(doc.Extensions, "x-fates", &all); err != nil {
		return nil, fmt.Errorf("%s: %w", doc.Info.Title, err)
	}
	return all, nil
}
