package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheScheduleIsAFunctionOfTheSeed(t *testing.T) {
	t.Parallel()
	once := schedule(7, 100, 3, kinds)
	require.Equal(t, once, schedule(7, 100, 3, kinds))
	require.NotEqual(t, once, schedule(8, 100, 3, kinds))
	require.Equal(t, once[:20], schedule(7, 500, 3, kinds)[:20], "a longer run begins as a shorter one")
}

func TestEveryKindOfFaultComesAsOftenAsEveryOther(t *testing.T) {
	t.Parallel()
	count, number := map[string]int{}, 0
	for i, wave := range schedule(7, 3*len(kinds), 3, kinds) {
		require.Zero(t, wave[0].After)
		for _, f := range wave {
			count[f.Kind]++
			number++
			require.Equal(t, number, f.Number)
			require.Equal(t, i+1, f.Wave)
			require.NotEmpty(t, f.At)
			require.LessOrEqual(t, f.After+f.For, 40*time.Second)
		}
	}
	for _, k := range kinds {
		require.Equal(t, 3, count[k.name], k.name)
	}
}

// Whatever goes wrong together could be the fault of one database host and one server: two of three databases, and a server, are well.
func TestAMajorityIsAlwaysLeft(t *testing.T) {
	t.Parallel()
	blamed := func(wave []fault, database, server string) bool {
		return !slices.ContainsFunc(wave, func(f fault) bool {
			ends := f.At[:1]
			if f.Kind == "cut between two" {
				ends = f.At
				if left, right := slices.Contains(servers, ends[0]), slices.Contains(servers, ends[1]); left != right { // that server, before a database
					return ends[0] != server && ends[1] != server
				} else if left {
					return false // nobody goes there
				}
			}
			return !slices.ContainsFunc(ends, func(host string) bool {
				return host == database || host == server || !slices.Contains(roles, host) && !slices.Contains(servers, host)
			})
		})
	}
	for seed := range uint64(20) {
		for _, wave := range schedule(seed, 500, 3, kinds) {
			require.True(t, slices.ContainsFunc(roles, func(database string) bool {
				return blamed(wave, database, servers[0]) || blamed(wave, database, servers[1])
			}), "%v", wave)
		}
	}
}

func TestFaultsThatComeTogetherAreDifferentOnes(t *testing.T) {
	t.Parallel()
	at := func(kind string, places ...string) fault { return fault{Kind: kind, At: places} }
	for _, test := range []struct {
		name string
		a, b fault
		fits bool
	}{
		{"a process and a disk of one host", at("kill etcd", primary), at("slow disk", primary), true},
		{"two database hosts", at("kill etcd", follower), at("slow disk", primary), false},
		{"a process of a host that is gone", at("kill the primary's host", primary), at("kill Patroni", primary), false},
		{"two disks of one", at("slow disk", primary), at("full disk, primary", primary), false},
		{"both servers", at("kill server", "app1"), at("kill pooler", "app2"), false},
		{"a server and a database", at("kill server", "app1"), at("kill the primary's host", primary), true},
		{"a server, and the way of the other one to the primary", at("cut between two", "app2", primary), at("kill server", "app1"), false},
		{"a server, twice", at("cut between two", "app2", primary), at("kill pooler", "app2"), true},
		{"a cut on the way round a host that is gone", at("cut between two", follower, other), at("kill the primary's host", primary), false},
		{"a cut of what is cut already", at("cut the primary from all", primary), at("cut between two", "app1", primary), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.fits, fits([]fault{test.a}, test.b))
			require.Equal(t, test.fits, fits([]fault{test.b}, test.a))
		})
	}
}

func TestMostWavesAreOfThree(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, len(schedule(7, 500, 3, kinds)), 185)
}
