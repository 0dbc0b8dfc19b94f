package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// scale measures what a second server adds (issuer API, verifications by PIN block). Each gets a tenth of a core, so that the servers and nothing else are what there is too little
// of, on a machine that has to run the database and the callers besides. It prints verifications a second of one server and of both, in turn.
func scale(ctx context.Context, c cluster, crowd *crowd, rounds int) (err error) {
	for _, host := range servers {
		server, serverErr := c.pid(host, "pinvault")
		if serverErr != nil {
			return serverErr
		}
		mend, limitErr := c.limited(host, "cpu", map[string]string{"cpu.cfs_period_us": "20000", "cpu.cfs_quota_us": "2000"}, []int{server})
		if limitErr != nil {
			return limitErr
		}
		defer func() { err = errors.Join(err, mend()) }()
	}
	var ratios []float64
	for range rounds {
		one := crowd.rate(ctx, servers[:1])
		both := crowd.rate(ctx, servers)
		ratios = append(ratios, both/one)
		fmt.Printf("one server %6.1f, two servers %6.1f verifications a second: %.2f\n", one, both, both/one)
	}
	sort.Float64s(ratios)
	fmt.Printf("two servers over one: %.2f (median of %d)\n", ratios[len(ratios)/2], rounds)
	return ctx.Err()
}

// rate is how many PINs a second some servers verify for sixteen callers.
func (c *crowd) rate(ctx context.Context, at []string) float64 {
	const callers, lead, measured = 16, 2 * time.Second, 12 * time.Second
	var count atomic.Int64
	enough, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			edge := "https://" + address[at[i%len(at)]] + ":8443"
			for enough.Err() == nil {
				p := c.cards[rand.IntN(len(c.cards))]
				r := c.request(errand{Contract: "issuer", Do: verify, PIN: p.firstPIN()}, p)
				token, err := c.authorize(enough, "issuer", "")
				if err != nil {
					continue
				}
				r.header["Authorization"] = "Bearer " + token
				if status, body, err := c.sendTo(enough, edge+r.path, r.method, r.header, r.body); err == nil && r.read(status, body).Result == "match" {
					count.Add(1)
				}
			}
		})
	}
	time.Sleep(lead)
	before := count.Load()
	time.Sleep(measured)
	after := count.Load()
	stop()
	all.Wait()
	return float64(after-before) / measured.Seconds()
}
