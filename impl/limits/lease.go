package limits

import (
	"sync"
	"time"
)

// lease is what a process may give away of a limit in the window under way. Its rules know no clock and no database.
type lease struct {
	mu    sync.Mutex
	limit int64     // that it is of: with another limit it counts for nothing
	left  int64     // to be given away
	ends  time.Time // with the window
	empty bool      // the database has no more
}

// take gives one away. It tells to wait where the window has no more; neither means that the database must be asked.
func (l *lease) take(now time.Time, limit int64) (taken bool, wait time.Duration) {
	switch {
	case !now.Before(l.ends) || l.limit != limit:
		return false, 0
	case l.left > 0:
		l.left--
		return true, 0
	}
	return false, l.spent(now, limit)
}

// spent is how long there is no more, 0 where there may be.
func (l *lease) spent(now time.Time, limit int64) time.Duration {
	if !l.empty || l.left > 0 || l.limit != limit || !now.Before(l.ends) {
		return 0
	}
	return l.ends.Sub(now)
}

// renew puts what the database has granted in the place of what there was. It was asked at now, so that the window does not
// end later here than there.
func (l *lease) renew(now time.Time, limit, granted int64, remains time.Duration) {
	l.limit, l.left, l.ends, l.empty = limit, granted, now.Add(remains), granted == 0
}

// most is what part of a limit is taken at a time.
const most = 200

// block is how much of a limit is taken at a time at most.
func block(limit int64, singly bool) int64 {
	if singly {
		return 1
	}
	return max(1, limit/most)
}
