package main

import (
	"math/rand/v2"
	"time"
)

// fault is something that goes wrong at one place for a time.
type fault struct {
	Number int           `json:"number"` // from 1
	Kind   string        `json:"kind"`
	At     []string      `json:"at"` // hosts, or roles that are looked up when it is its turn
	For    time.Duration `json:"for"`
	Skew   time.Duration `json:"skew,omitempty"` // of a clock
}

// Roles: which host it is changes with each failover.
const (
	primary  = "primary"
	follower = "follower"
	other    = "the other follower"
)

// kind is a way to go wrong: where, and for how long until it is mended. A killed process comes back by itself.
type kind struct {
	name        string
	at          func(*rand.Rand) []string
	least, most time.Duration
}

var (
	databases = []string{"db1", "db2", "db3"}
	servers   = []string{"app1", "app2"}
	hosts     = []string{"edge", "db1", "db2", "db3", "app1", "app2", "bank", "keys"}
)

var kinds = []kind{
	{"kill server", one(servers...), 0, 0},
	{"kill pooler", one(servers...), 0, 0},
	{"kill proxy", one("app1", "app2", "edge"), 0, 0},
	{"kill etcd", one(databases...), 0, 0},
	{"kill Patroni", one(primary), 0, 0},
	{"kill PostgreSQL, primary", one(primary), 0, 0},
	{"kill PostgreSQL, follower", one(follower), 0, 0},
	{"kill the primary's host", one(primary), 25 * time.Second, 40 * time.Second},
	{"kill a follower's host", one(follower), 10 * time.Second, 30 * time.Second},
	{"cut between two", two(hosts...), 5 * time.Second, 30 * time.Second},
	{"cut the primary from all", one(primary), 15 * time.Second, 40 * time.Second},
	{"cut the primary from the followers", all(primary, follower, other), 15 * time.Second, 40 * time.Second},
	{"slow network", one(primary), 5 * time.Second, 15 * time.Second},
	{"slow disk", one(primary), 5 * time.Second, 20 * time.Second},
	{"full disk, primary", one(primary), 10 * time.Second, 30 * time.Second},
	{"full disk, follower", one(follower), 10 * time.Second, 30 * time.Second},
	{"slow database", one(primary), 5 * time.Second, 20 * time.Second},
	{"pool exhausted", one(servers...), 5 * time.Second, 15 * time.Second},
	{"clock", one(servers...), 10 * time.Second, 30 * time.Second},
	{"receiver gone", all("bank"), 10 * time.Second, 30 * time.Second},
	{"keys gone", all("keys"), 5 * time.Second, 15 * time.Second},
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

// schedule is what goes wrong, in order: a function of the seed alone. Of n faults every kind has as many as every
// other, or one more.
func schedule(seed uint64, n int, of []kind) []fault {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it is to be repeatable
	faults := make([]fault, 0, n)
	var order []int
	for i := range n {
		if len(order) == 0 {
			order = r.Perm(len(of))
		}
		k := of[order[0]]
		order = order[1:]
		f := fault{Number: i + 1, Kind: k.name, At: k.at(r), For: k.least}
		if k.most > k.least {
			f.For += time.Duration(r.Int64N(int64(k.most - k.least))).Truncate(100 * time.Millisecond)
		}
		if k.name == "clock" {
			f.Skew = []time.Duration{-10 * time.Minute, 10 * time.Minute}[r.IntN(2)]
		}
		faults = append(faults, f)
	}
	return faults
}
