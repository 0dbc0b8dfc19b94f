package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
)

// call is an errand and what came of it. Times are since the run began.
type call struct {
	errand
	answer
	Trace    string        `json:"trace"` // its events bear it
	From     time.Duration `json:"from"`
	To       time.Duration `json:"to"`
	Attempts int           `json:"attempts"`
}

// attempt is one request of a call.
type attempt struct {
	From   time.Duration
	To     time.Duration
	Status int // 0: none
}

// good tells whether a request was answered in time, and not by a failure of the server's.
func (a attempt) good() bool {
	return a.Status != 0 && a.Status < http.StatusInternalServerError && a.To-a.From <= 2*time.Second
}

// records are what happened.
type records struct {
	mu       sync.Mutex
	calls    []call
	attempts []attempt
	strange  map[string]int // answers that no errand is to have, by what they were
}

func (r *records) add(c call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
}

func (r *records) tried(a attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, a)
}

func (r *records) wonder(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.strange[what]++
}

// crowd are callers who use cards.
type crowd struct {
	*bank
	*records
	cards []plastic
	began time.Time

	mu  sync.Mutex
	pin map[int]string // as far as anybody knows
}

func newCrowd(b *bank, first, cards int, began time.Time) *crowd {
	c := &crowd{bank: b, records: &records{strange: map[string]int{}}, began: began, pin: map[int]string{}}
	for i := range cards {
		p := plastic{number: first + i, id: fmt.Sprintf("00000000-0000-7000-8000-%012d", 1_000_000+first+i)}
		c.cards = append(c.cards, p)
		c.pin[i] = p.firstPIN()
	}
	return c
}

// menu is what callers do, as often as it is listed.
var menu = []errand{
	{Contract: "issuer", Do: verify}, {Contract: "issuer", Do: verify}, {Contract: "issuer", Do: verify}, {Contract: "issuer", Do: verify}, {Contract: "issuer", Do: verify},
	{Contract: "thredd", Do: set}, {Contract: "thredd", Do: set}, {Contract: "issuer", Do: set},
	{Contract: "networkintl", Do: change}, {Contract: "networkintl", Do: change}, {Contract: "accosa", Do: reset}, {Contract: "hosted", Do: reset},
	{Contract: "creditplus", Do: unblock}, {Contract: "issuer", Do: unblock}, {Contract: "thredd", Do: unblock},
	{Contract: "thredd", Do: reveal}, {Contract: "thredd", Do: reveal}, {Contract: "thredd", Do: status}, {Contract: "thredd", Do: status},
}

// Some cards are used by many at once.
const (
	hotCards = 40
	hotShare = 0.4
)

// draw is what a caller does next.
func (c *crowd) draw() errand {
	e := menu[rand.IntN(len(menu))]
	if e.Card = rand.IntN(len(c.cards)); rand.Float64() < hotShare {
		e.Card = rand.IntN(min(hotCards, len(c.cards)))
	}
	c.mu.Lock()
	known := c.pin[e.Card]
	c.mu.Unlock()
	random := func() string { return fmt.Sprintf("%04d", rand.IntN(10_000)) }
	offered := known
	if rand.IntN(3) == 0 {
		offered = random()
	}
	switch e.Do {
	case verify:
		e.PIN = offered
	case change:
		e.Old, e.PIN = offered, random()
	case set, reset:
		e.PIN = random()
	}
	return e
}

// work runs errands until ctx ends, and finishes the one that it is at.
func (c *crowd) work(ctx context.Context, pause time.Duration) {
	for ctx.Err() == nil {
		c.do(context.WithoutCancel(ctx), c.draw())
		select {
		case <-time.After(time.Duration(rand.ExpFloat64() * float64(pause))):
		case <-ctx.Done():
		}
	}
}

// do runs an errand: it is sent until it is answered, where it may be sent again.
func (c *crowd) do(ctx context.Context, e errand) {
	p := c.cards[e.Card]
	var r request
	if e.Contract == "hosted" {
		from := time.Since(c.began)
		link, err := c.link(ctx, p, e.PIN)
		if err != nil {
			c.tried(attempt{from, time.Since(c.began), 0})
			return // nothing was asked of the card
		}
		c.tried(attempt{from, time.Since(c.began), http.StatusOK})
		r = *link
	} else {
		r = c.request(e, p)
	}
	id := uuid.New()
	made := call{errand: e, Trace: hex.EncodeToString(id[:]), From: time.Since(c.began)}
	header := maps.Clone(r.header)
	if header == nil {
		header = map[string]string{}
	}
	header["traceparent"] = "00-" + made.Trace + "-00f067aa0ba902b7-01"
	stale := ""
	for end := time.Now().Add(persistence); ; {
		from := time.Since(c.began)
		token, err := c.authorize(ctx, e.Contract, stale)
		status, body := 0, []byte(nil)
		if err == nil {
			if token != "" {
				header["Authorization"] = "Bearer " + token
			}
			status, body, err = c.send(ctx, r.method, r.path, header, r.body)
			made.Attempts++
			if err != nil {
				status = 0
			}
		}
		c.tried(attempt{from, time.Since(c.began), status})
		if status != 0 {
			made.answer = r.read(status, body)
		}
		if made.Told {
			break
		}
		if status == http.StatusUnauthorized && stale != token {
			stale = token
			continue
		}
		if status != 0 && status < http.StatusInternalServerError && status != http.StatusConflict && status != http.StatusTooManyRequests {
			c.wonder(fmt.Sprintf("%s %s: %d %.160s", e.Contract, e.Do, status, body))
			break
		}
		if made.Attempts > 0 && !r.repeatable || time.Now().After(end) {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if made.Attempts == 0 {
		return
	}
	made.To = time.Since(c.began)
	c.learn(made)
	c.add(made)
}

// learn remembers the PIN that a card has now, as far as one caller can know.
func (c *crowd) learn(made call) {
	if !made.Told || made.Result == "refused" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch made.Do {
	case set, change, reset:
		c.pin[made.Card] = made.errand.PIN
	case reveal:
		c.pin[made.Card] = made.answer.PIN
	}
}
