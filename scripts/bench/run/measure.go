package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinvault/scripts/bench/cards"
)

// result is what was measured of one call at one number of connections.
type result struct {
	call
	connections int
	bare, vault []float64 // calls a second, round by round
}

// ratio is that of the medians; low and high are those of single rounds.
func (r result) ratio() (middle, low, high float64) {
	rounds := make([]float64, len(r.bare))
	for i := range r.bare {
		rounds[i] = r.vault[i] / r.bare[i]
	}
	return median(r.vault) / median(r.bare), slices.Min(rounds), slices.Max(rounds)
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// measure drives both programs in turns.
func (b *bench) measure(ctx context.Context) (results []result, err error) {
	floor, err := b.floor.start(ctx, b.dir, b.floor.url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	vault, err := b.vault.start(ctx, b.dir, b.vault.url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, vault.stop()) }()
	say("warming up")
	if _, err := b.round(ctx, floor, vault, targetAt, 0, 2*time.Second); err != nil {
		return nil, err
	}
	for i, connections := range b.connections {
		of := make([]result, len(calls))
		for round := 1; round <= b.rounds; round++ {
			rates, err := b.round(ctx, floor, vault, connections, i*b.rounds+round, b.settings.round)
			if err != nil {
				return nil, err
			}
			var text strings.Builder
			for j, c := range calls {
				bare, ours := rates["bare "+c.against], rates[c.name]
				of[j].call, of[j].connections = c, connections
				of[j].bare, of[j].vault = append(of[j].bare, bare), append(of[j].vault, ours)
				fmt.Fprintf(&text, "  %s %.0f of %.0f", c.name, ours, bare)
			}
			say("%d connections, round %d of %d:%s", connections, round, b.rounds, text.String())
		}
		results = append(results, of...)
	}
	return results, b.unharmed(ctx, vault, b.cards)
}

// round measures every call once, the bare program's and PinVault's in turns, and returns calls a second.
// Both get the same cards in the same order.
func (b *bench) round(ctx context.Context, floor, vault running, connections, seed int, length time.Duration) (map[string]float64, error) {
	rates := map[string]float64{}
	for _, c := range calls {
		var err error
		if c.against == c.name {
			if rates["bare "+c.name], err = b.drive(ctx, floor.base, c, b.cards, connections, seed, length); err != nil {
				return nil, fmt.Errorf("bare program, %s: %w", c.what, err)
			}
		}
		if rates[c.name], err = b.drive(ctx, vault.base, c, b.cards, connections, seed, length); err != nil {
			return nil, fmt.Errorf("PinVault, %s: %w", c.what, err)
		}
	}
	return rates, nil
}

// drive runs wrk and returns calls a second.
func (b *bench) drive(ctx context.Context, base string, c call, file string, connections, seed int, length time.Duration) (float64, error) {
	var out bytes.Buffer
	w := child(ctx, []string{"TOKEN=" + b.tokens[c.contract]}, "wrk", "--threads", "1", "--connections", strconv.Itoa(connections),
		"--duration", strconv.Itoa(int(length.Seconds()))+"s", "--timeout", "10s", "--script", "scripts/bench/call.lua", base,
		"--", c.name, file, strconv.Itoa(seed))
	w.Stdout, w.Stderr = &out, os.Stderr
	if err := w.Run(); err != nil {
		return 0, fmt.Errorf("wrk: %w\n%s", err, out.Bytes())
	}
	return rate(out.Bytes())
}

// rate reads the last line that call.lua makes wrk print. A call that failed is an error.
func rate(out []byte) (float64, error) {
	at := bytes.LastIndex(out, []byte("bench "))
	if at < 0 {
		return 0, fmt.Errorf("wrk did not come to its end:\n%s", out)
	}
	var calls, microseconds, connect, read, write, timeout, status int
	_, err := fmt.Sscanf(string(out[at:]), "bench %d %d %d %d %d %d %d", &calls, &microseconds, &connect, &read, &write, &timeout, &status)
	switch {
	case err != nil || calls == 0 || microseconds == 0:
		return 0, fmt.Errorf("wrk made no calls:\n%s", out)
	case connect+read+write+timeout+status > 0:
		return 0, fmt.Errorf("of %d calls %d were refused; failures to connect %d, to read %d, to write %d, in time %d",
			calls, status, connect, read, write, timeout)
	}
	return float64(calls) / (float64(microseconds) / 1e6), nil
}

// unharmed looks at some of the cards: had verifications not matched, tries would be missing, and had they
// been too many, what was measured would be the refusals of blocked cards. wrk hangs up in the middle of
// calls when its time is over, so that a few cards may have lost a try.
func (b *bench) unharmed(ctx context.Context, vault running, file string) error {
	all, err := cards.Read(file)
	if err != nil {
		return err
	}
	const looked = 400
	lost := 0
	for i := range looked {
		err := b.send(ctx, vault.base, calls[0], all[i*len(all)/looked])
		if _, other := errors.AsType[*otherReplyError](err); other {
			lost++
		} else if err != nil {
			return fmt.Errorf("a card after the measurement: %w", err)
		}
	}
	hungUp := 0
	for _, connections := range append([]int{targetAt}, b.connections...) {
		hungUp += connections * b.rounds
	}
	if share := float64(lost) / looked; share > 0.05+float64(hungUp)/float64(len(all)) {
		return fmt.Errorf("%.0f %% of the cards have lost tries, so the PINs that were verified were not the right ones", 100*share)
	}
	return nil
}
