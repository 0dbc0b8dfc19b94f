package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// fault is something that goes wrong at one place for a time.
type fault struct {
	Number int           `json:"number"` // from 1
	Wave   int           `json:"wave"`   // from 1: what goes wrong together
	Kind   string        `json:"kind"`
	At     []string      `json:"at"`             // hosts, or roles that are looked up when it is the wave's turn
	After  time.Duration `json:"after"`          // its wave began
	For    time.Duration `json:"for"`            // until it is mended
	Skew   time.Duration `json:"skew,omitempty"` // of a clock
}

// Roles: which host it is changes with each failover.
const (
	primary  = "primary"
	follower = "follower"
	other    = "the other follower"
)

// kind is a way to go wrong: where, what of a host it takes, and for how long until it is mended. A killed process comes back by itself.
type kind struct {
	name        string
	at          func(*rand.Rand) []string
	takes       part
	least, most time.Duration
}

// leaderless are the kinds that leave the databases without a leader, until it is back or replaced.
var leaderless = []string{"kill Patroni", "kill PostgreSQL, primary", "cut the primary from the followers", "cut the primary from all", "kill the primary's host"}

// part is what of a host a fault takes: two that take the same are one.
type part string

const (
	wholeHost part = "host"
	network   part = "network"
	link      part = "link" // the network, between two hosts alone
	disk      part = "disk"
	processor part = "processor"
)

var (
	databases = []string{"db1", "db2", "db3"}
	servers   = []string{"app1", "app2"}
	hosts     = []string{"edge", "db1", "db2", "db3", "app1", "app2", "bank", "keys"}

	roles  = []string{primary, follower, other}
	places = append([]string{"edge", "app1", "app2", "bank", "keys"}, roles...)
)

// kinds are in the order in which they are felt, the least first. What is felt of a wave is its worst's.
var kinds = []kind{
	{"receiver gone", all("bank"), wholeHost, 5 * time.Second, 12 * time.Second},
	{"clock", one(servers...), "server", 5 * time.Second, 12 * time.Second},
	{"full disk, follower", one(follower), disk, 5 * time.Second, 12 * time.Second},
	{"kill PostgreSQL, follower", one(follower), "PostgreSQL", 0, 0},
	{"kill a follower's host", one(follower), wholeHost, 5 * time.Second, 12 * time.Second},
	{"kill etcd", one(roles...), "etcd", 0, 0},
	{"kill pooler", one(servers...), "pooler", 0, 0},
	{"kill server", one(servers...), "server", 0, 0},
	{"kill proxy", one("app1", "app2", "edge"), "proxy", 0, 0},
	{"cut between two", two(places...), link, 5 * time.Second, 14 * time.Second},
	{"pool exhausted", one(servers...), "pooler", 5 * time.Second, 10 * time.Second},
	{"slow disk", one(primary), disk, 5 * time.Second, 10 * time.Second},
	{"slow network", one(primary), network, 5 * time.Second, 10 * time.Second},
	{"slow database", one(primary), processor, 5 * time.Second, 10 * time.Second},
	{"kill Patroni", one(primary), "Patroni", 0, 0},
	{"keys gone", all("keys"), wholeHost, 5 * time.Second, 8 * time.Second},
	{"full disk, primary", one(primary), disk, 5 * time.Second, 12 * time.Second},
	{"kill PostgreSQL, primary", one(primary), "PostgreSQL", 0, 0},
	{"cut the primary from the followers", all(primary, follower, other), network, 10 * time.Second, 28 * time.Second},
	{"cut the primary from all", one(primary), network, 10 * time.Second, 28 * time.Second},
	{"kill the primary's host", one(primary), wholeHost, 10 * time.Second, 28 * time.Second},
}

func all(names ...string) func(*rand.Rand) []string {
	return func(*rand.Rand) []string { return names }
}

func one(names ...string) func(*rand.Rand) []string {
	return func(r *rand.Rand) []string { return []string{names[r.IntN(len(names))]} }
}

func two(names ...string) func(*rand.Rand) []string {
	return func(r *rand.Rand) []string {
		order := r.Perm(len(names))
		return []string{names[order[0]], names[order[1]]}
	}
}

// kindOf is the kind of a fault.
func kindOf(f fault) kind { return kinds[rank(f)] }

// rank is how much of a fault is felt beside others.
func rank(f fault) int { return slices.IndexFunc(kinds, func(k kind) bool { return k.name == f.Kind }) }

// worst is the index of the fault that is felt of a wave.
func worst[F any](wave []F, of func(F) fault) int {
	at := 0
	for i := range wave {
		if rank(of(wave[i])) > rank(of(wave[at])) {
			at = i
		}
	}
	return at
}

// schedule is what goes wrong, wave after wave: a function of the seed alone. Of n faults every kind has as many as every
// other, or one more; of those that come next each wave takes the first, and up to together in all that go with it.
func schedule(seed uint64, n, together int, of []kind) (waves [][]fault) {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it is to be repeatable
	var next []fault                    // of two rounds at most
	for drawn, number := 0, 1; number <= n; {
		for drawn < n && len(next) < len(of) {
			round := deal(r, of)
			round = round[:min(len(round), n-drawn)]
			next, drawn = append(next, round...), drawn+len(round)
		}
		var wave, left []fault
		for _, f := range next {
			if len(wave) == together || len(wave) > 0 && !fits(wave, f) {
				left = append(left, f)
				continue
			}
			f.Number, f.Wave = number, len(waves)+1
			if len(wave) == 0 {
				f.After = 0
			}
			wave, number = append(wave, f), number+1
		}
		waves, next = append(waves, wave), left
	}
	return waves
}

// deal is a fault of each kind, in any order.
func deal(r *rand.Rand, of []kind) []fault {
	between := func(least, most time.Duration) time.Duration {
		if most > least {
			least += time.Duration(r.Int64N(int64(most - least))).Truncate(100 * time.Millisecond)
		}
		return least
	}
	round := make([]fault, 0, len(of))
	for _, i := range r.Perm(len(of)) {
		k := of[i]
		f := fault{Kind: k.name, At: k.at(r), After: between(0, 4*time.Second), For: between(k.least, k.most)}
		if k.name == "clock" {
			f.Skew = []time.Duration{-10 * time.Minute, 10 * time.Minute}[r.IntN(2)]
		}
		round = append(round, f)
	}
	return round
}

// fits tells whether a fault can come together with others: none of them takes what another one has taken already, and
// what is left is what the cluster promises to serve with.
func fits(wave []fault, f fault) bool {
	for _, g := range wave {
		if g.Kind == f.Kind || slices.ContainsFunc(f.breaks(), func(host string) bool {
			return slices.Contains(g.breaks(), host) && excludes(kindOf(f).takes, kindOf(g).takes)
		}) {
			return false
		}
	}
	return serves(append(slices.Clone(wave), f))
}

func excludes(a, b part) bool {
	return a == b || a == wholeHost || b == wholeHost || a == link && b == network || a == network && b == link
}

// breaks are the places that do not work as they should.
func (f fault) breaks() []string {
	if kindOf(f).takes == link {
		return f.At
	}
	return f.At[:1]
}

// serves tells whether there are still two databases that nothing is wrong with, nor with what is between them, and a server. A
// cut before or behind a server is the server's, since no database steps down for it; servers do not talk to each other.
func serves(wave []fault) bool {
	down, cut := map[string]bool{}, map[[2]string]bool{}
	for _, f := range wave {
		ends := f.breaks()
		ours := slices.DeleteFunc(slices.Clone(ends), func(host string) bool { return !slices.Contains(servers, host) })
		switch {
		case len(ends) == 1:
			down[ends[0]] = true
		case len(ours) == 1:
			down[ours[0]] = true
		case len(ours) == 0:
			cut[[2]string{ends[0], ends[1]}], cut[[2]string{ends[1], ends[0]}] = true, true
		}
	}
	pair := func(a, b string) bool { return !down[a] && !down[b] && !cut[[2]string{a, b}] }
	return (pair(primary, follower) || pair(primary, other) || pair(follower, other)) && !(down["app1"] && down["app2"])
}
