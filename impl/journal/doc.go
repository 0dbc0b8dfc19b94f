// Package journal keeps the latest calls of a sandbox's space and shows them: what was sent and answered, what was inside
// of what was sealed, the documented row that came out, and what became of the cards.
//
// While a call is under way it costs microseconds: [Journal.Handler] keeps copies, and whoever knows more of the call
// tells the [Entry] of its context. Everything else, masking above all, is done by a [Reader] when somebody looks.
//
// It knows documents, rows and cards at rest as they lie in the store; no gin, no vault and no key: what is inside of
// messages is told by the contracts that open and seal them, see [contract.Listen].
package journal
