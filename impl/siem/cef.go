package siem

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"pinvault/impl/pin"
)

// How grave an event is, 0 to 10 as CEF counts; from grave on it is a warning.
const (
	usual   = 3
	notable = 5
	grave   = 7
)

// gravities are those of events that are not usual.
var gravities = map[pin.EventType]int{
	pin.EventPINRefused: notable, pin.EventPINFailed: notable, pin.EventPINRevealed: notable, pin.EventPINUnblocked: notable,
	pin.EventKeyImported: notable, pin.EventKeyExported: notable, pin.EventKeyDestroyed: notable, pin.EventPINTranslated: notable,
	pin.EventPINDerived: notable, pin.EventPINMailed: notable, pin.EventWebhookPaused: notable, pin.EventPortfolioExported: grave,
	pin.EventPINBlocked: grave, pin.EventKeyRefused: grave, pin.EventLoginRefused: grave, pin.EventAccessRefused: grave,
}

func gravity(e pin.AuditEvent) int {
	if g, ok := gravities[e.Type]; ok {
		return g
	}
	return usual
}

// In a header \ and | are escaped, in an extension \, = and ends of lines.
var (
	header    = strings.NewReplacer(`\`, `\\`, `|`, `\|`, "\n", " ", "\r", " ")
	extension = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\n", `\n`, "\r", `\r`)
)

// CEF is an event in the Common Event Format (version 0, ArcSight), by a version of the product.
func CEF(version string) Render {
	return func(e pin.AuditEvent) ([]byte, error) {
		var out strings.Builder
		name := strings.NewReplacer(".", " ", "_", " ").Replace(string(e.Type))
		_, _ = fmt.Fprintf(&out, "CEF:0|PinVault|PinVault|%s|%s|%s|%d|", header.Replace(version), header.Replace(string(e.Type)), header.Replace(name), gravity(e))
		first := true
		add := func(key, value string) {
			if value == "" {
				return
			}
			if !first {
				out.WriteByte(' ')
			}
			first = false
			out.WriteString(key + "=" + extension.Replace(value))
		}
		labelled := func(key, label, value string) {
			if value != "" {
				add(key, value)
				add(key+"Label", label)
			}
		}
		add("rt", strconv.FormatInt(e.At.UnixMilli(), 10))
		add("externalId", e.ID)
		add("cat", "audit")
		add("act", string(e.Type))
		add("outcome", e.Outcome)
		if a, err := netip.ParseAddr(e.RemoteAddr); err == nil {
			add("src", a.String())
		}
		add("suid", e.ClientID)
		add("suser", e.UpdatedBy)
		add("app", e.Contract)
		add("msg", e.Description)
		labelled("cs1", "chain", e.Chain)
		labelled("cn1", "sequence", strconv.FormatInt(e.Seq, 10))
		labelled("cs2", "cardId", e.CardID)
		labelled("cs3", "programId", e.ProgramID)
		labelled("cs4", "subject", e.Subject)
		labelled("cs5", "traceId", e.TraceID)
		labelled("cs6", "changes", changed(e.Changes))
		if e.Left != nil {
			labelled("cn2", "triesLeft", strconv.Itoa(*e.Left))
		}
		return []byte(out.String()), nil
	}
}

// changed are changes in one text.
func changed(all []pin.FieldChange) string {
	out := make([]string, len(all))
	for i, c := range all {
		if out[i] = c.Field; c.Old != "" || c.New != "" {
			out[i] += ": " + c.Old + " -> " + c.New
		}
	}
	return strings.Join(out, "; ")
}
