package pin

import (
	"encoding/binary"
	"encoding/hex"
	"io"
	"time"

	"github.com/google/uuid"
)

// Who reads events in the order of their ids, and goes on after the last one, must not be overtaken by one that comes later and has a
// smaller id. So ids are drawn by the store's clock, the store takes no event whose id is older than [EventLate], and hands out
// no event that is younger than [EventSettled], or younger than one that is being written, however long that takes (see AuditQuery.Settled).
// No two writers wait for each other for that. EventSettled is the longer, by what two clocks of a database's machines may
// differ after one of them has taken over from the other.
const (
	EventLate    = 5 * time.Second
	EventSettled = 6 * time.Second
)

// A tick is the 4096th part of a millisecond, as UUIDv7 counts time (RFC 9562, 6.2, method 3).
const ticksPerMilli = 1 << 12

// eventID draws the id of an event that follows one that was drawn at a tick, 0 where none does: a UUIDv7 of this time, or of
// the next tick after, so that ids of a chain grow like its places, whoever draws them.
func eventID(now time.Time, after int64, random io.Reader) (string, error) {
	var id uuid.UUID
	if _, err := io.ReadFull(random, id[8:]); err != nil {
		return "", err
	}
	milli := now.UnixMilli()
	tick := max(milli*ticksPerMilli+(now.UnixNano()-milli*int64(time.Millisecond))*ticksPerMilli/int64(time.Millisecond), after+1)
	binary.BigEndian.PutUint64(id[:], uint64(tick)>>12<<16|0x7000|uint64(tick)&0xfff) //nolint:gosec // times after 1970
	id[8] = id[8]&0x3f | 0x80                                                         // the variant
	return id.String(), nil
}

// tickOf is when an id was drawn, 0 where it does not say.
func tickOf(id string) int64 {
	var high [8]byte
	if len(id) != 36 || id[14] != '7' {
		return 0
	}
	if n, err := hex.Decode(high[:], []byte(id[:8]+id[9:13]+id[14:18])); err != nil || n < len(high) {
		return 0
	}
	bits := binary.BigEndian.Uint64(high[:])
	return int64(bits>>16<<12 | bits&0xfff) //nolint:gosec // 60 bits
}

// EventDrawn is when an event's id was drawn, to the millisecond, and whether it says so: our own ids do.
func EventDrawn(id string) (at time.Time, says bool) {
	tick := tickOf(id)
	return time.UnixMilli(tick / ticksPerMilli), tick > 0
}

// EventsFrom is an id that comes before those that are drawn at a time or later, and after all others.
func EventsFrom(at time.Time) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(max(at.UnixMilli(), 0))<<16) //nolint:gosec // not negative
	return id.String()
}
