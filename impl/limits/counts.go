package limits

import (
	"sync"
	"time"
)

// counts are what a process has counted of a client's verifications and has not told the database.
type counts struct {
	mu   sync.Mutex
	bins map[string]*count
}

// count is that of one BIN.
type count struct {
	minute                    time.Time // that it is of
	told                      time.Time // when the database was last told
	verifications, mismatches int64
	cards                     map[string]bool // with a mismatch
}

// add counts a verification. What a minute leaves untold is forgotten with it.
func (c *counts) add(now time.Time, bin, cardID string, mismatch bool) {
	minute := now.Truncate(alarmWindow)
	n := c.bins[bin]
	if n == nil || !n.minute.Equal(minute) {
		n = &count{minute: minute, told: now, cards: map[string]bool{}}
		c.bins[bin] = n
	}
	n.verifications++
	if mismatch {
		n.mismatches++
		n.cards[cardID] = true
	}
}

const (
	tellEvery = time.Second // while there is something to tell
	tellPart  = 20          // of the alarm's limit of cards
)

// due tells whether it is time to tell the database. Right PINs alone are never told: they keep the alarm quiet.
func (n *count) due(now time.Time, cards int64) bool {
	fresh := int64(len(n.cards))
	return fresh > 0 && (fresh >= max(1, cards/tellPart) || now.Sub(n.told) >= tellEvery)
}
