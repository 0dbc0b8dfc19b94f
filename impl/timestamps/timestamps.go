// Package timestamps reads the times in partners' requests. It knows no contract and no clock.
//
// The rules are RFC 3339's, section 5.6, and what serialisers write that people take for it: no seconds at
// a full minute (Java's OffsetDateTime), an offset without a colon (ISO 8601's basic form, which C's and
// Python's %z write).
package timestamps

import (
	"errors"
	"regexp"
	"strings"
	"time"
)

// errNoTime says no more: the text is the caller's.
var errNoTime = errors.New("not a time")

var form = regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2})(:[0-9]{2}(?:[.][0-9]+)?)?([Zz]|[+-][0-9]{2}:?[0-5][0-9])$`)

// farthest is the greatest offset, that of Java's ZoneOffset; no place on earth is beyond 14 hours.
const farthest = 18 * 60 * 60 // s

// Read reads a time with its offset, in a zone of that offset. It fails for what was no time: a day or an
// hour that no calendar has, the year 0000, a leap second, an offset beyond 18 hours.
func Read(text string) (time.Time, error) {
	parts := form.FindStringSubmatch(text)
	if parts == nil || parts[1][:4] == "0000" {
		return time.Time{}, errNoTime
	}
	date, minute, second, offset := parts[1], parts[2], parts[3], strings.ToUpper(parts[4])
	if second == "" {
		second = ":00"
	}
	if offset != "Z" && len(offset) == len("+0400") {
		offset = offset[:3] + ":" + offset[3:]
	}
	at, err := time.Parse(time.RFC3339, date+"T"+minute+second+offset)
	if err != nil {
		return time.Time{}, errNoTime // and not err, which quotes the text
	}
	if _, east := at.Zone(); east < -farthest || east > farthest {
		return time.Time{}, errNoTime
	}
	return at, nil
}
