package creditplus

import (
	"time"

	"pinvault/generated/creditplus"
	"pinvault/impl/timestamps"
)

// longestValidity is how long after its timestamp a request may be good.
const longestValidity = 24 * time.Hour

// times are those of a V2 request that keeps the document.
type times struct {
	made, until         time.Time
	madeText, untilText string // as they were sent
}

func timesOf(m *creditplus.ResetRequest) (times, error) {
	t := times{madeText: m.Timestamp, untilText: m.DataValidUntilTimestamp}
	var err error
	if t.made, err = timestamps.Read(t.madeText); err == nil {
		t.until, err = timestamps.Read(t.untilText)
	}
	return t, err
}

// over is TIMESTAMP_ERROR for a request that is not good any more.
func (t times) over(now time.Time) error {
	if t.until.Before(now) {
		return past.of("dataValidUntilTimestamp", t.untilText, "in past")
	}
	return nil
}

// untimely is TIMESTAMP_ERROR for a request that was not made now, give or take the window, 0 for none, or
// that is good for too long.
func (t times) untimely(now time.Time, window time.Duration) error {
	switch {
	case window > 0 && t.made.Before(now.Add(-window)):
		return past.of("timestamp", t.madeText, "in past")
	case window > 0 && t.made.After(now.Add(window)):
		return future.of("timestamp", t.madeText, "in future")
	case t.until.After(t.made.Add(longestValidity)):
		return future.of("dataValidUntilTimestamp", t.untilText, "more than 24 hours after timestamp")
	}
	return nil
}

// left is how long an answer must be kept so that a request has no second effect while it is good.
func (t times) left(now time.Time) time.Duration { return t.until.Add(time.Second).Sub(now) }
