package pin

import (
	"context"
	"sync"
)

// How many numbers are reserved at once: at first few, since what is not drawn before the process ends is lost, and each time twice as
// many as before, since whoever draws many would wait for the database over and over.
const (
	blockSize = 100
	mostAhead = 3200
)

// numbers are those that partners see. A process draws them from blocks that it has reserved, so they only
// grow, and some are never drawn.
type numbers struct {
	mu     sync.Mutex
	series map[[2]string]*series // by sequence and program
}

// series is what is reserved of one sequence.
type series struct {
	blocks   [][2]int64 // the next number and the first that is not ours
	size     int64      // of the newest block
	promised int64
}

func (s *series) left() (n int64) {
	for _, b := range s.blocks {
		n += b[1] - b[0]
	}
	return n
}

// promise sees to it that a number can be drawn without asking the store, which may be in the middle of
// the write that the number goes with. draw draws it, always the same one; release ends the promise.
func (n *numbers) promise(ctx context.Context, store Store, sequence, programID string) (draw func() int64, release func(), err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := [2]string{sequence, programID}
	s := n.series[key]
	if s == nil {
		s = &series{}
	}
	for s.left() <= s.promised {
		size := min(max(blockSize, 2*s.size), mostAhead)
		first, err := store.Numbers(ctx, sequence, programID, size)
		if err != nil {
			return nil, nil, err
		}
		s.blocks, s.size = append(s.blocks, [2]int64{first, first + size}), size
	}
	if n.series == nil {
		n.series = map[[2]string]*series{}
	}
	n.series[key] = s
	s.promised++
	var drawn int64
	draw = func() int64 {
		n.mu.Lock()
		defer n.mu.Unlock()
		if drawn == 0 {
			drawn = s.next()
		}
		return drawn
	}
	release = func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		s.promised--
	}
	return draw, release, nil
}

// next takes a number that was promised.
func (s *series) next() int64 {
	b := &s.blocks[0]
	taken := b[0]
	if b[0]++; b[0] == b[1] {
		s.blocks = s.blocks[1:]
	}
	return taken
}

func (n *numbers) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.series = nil
}

// Number draws the next number of a sequence of the caller's program, counted from 1.
func (v *Vault) Number(ctx context.Context, sequence string) (int64, error) {
	draw, release, err := v.Promise(ctx, sequence)
	if err != nil {
		return 0, err
	}
	defer release()
	return draw(), nil
}

// Promise is Number for who needs a number in the middle of an operation, if at all: draw draws it, always
// the same one, and asks no database; release ends the promise.
func (v *Vault) Promise(ctx context.Context, sequence string) (draw func() int64, release func(), err error) {
	return v.numbers.promise(ctx, v.store, sequence, CallerFrom(ctx).ProgramID)
}
