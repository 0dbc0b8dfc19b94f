package main

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// at is a call from one second to another.
func at(from, to int, do action, offered string, a answer) call {
	e := errand{Do: do, PIN: offered}
	if do == change {
		e.Old, e.PIN = offered[:4], offered[4:]
	}
	return call{errand: e, answer: a, From: time.Duration(from) * time.Second, To: time.Duration(to) * time.Second}
}

func result(word string, left int) answer { return answer{Told: true, Result: word, Left: left} }

func shown(digits string) answer { return answer{Told: true, Result: "done", Left: -1, PIN: digits} }

func TestAnswersThatAnOrderExplainsAreTakenAndOthersAreFound(t *testing.T) {
	t.Parallel()
	silence := answer{}
	for _, test := range []struct {
		name  string
		calls []call
		holds bool
	}{
		{"a PIN that was set is read", []call{at(0, 1, set, "2222", done), at(2, 3, reveal, "", shown("2222"))}, true},
		{"a PIN that was set is lost", []call{at(0, 1, set, "2222", done), at(2, 3, reveal, "", shown("1111"))}, false},
		{"of two at once either may be the last", []call{at(0, 5, set, "2222", done), at(1, 4, set, "3333", done), at(6, 7, reveal, "", shown("2222"))}, true},
		{"an unanswered one may have had an effect", []call{at(0, 1, set, "2222", silence), at(2, 3, reveal, "", shown("2222"))}, true},
		{"an unanswered one may have had none", []call{at(0, 1, set, "2222", silence), at(2, 3, reveal, "", shown("1111"))}, true},
		{"an unanswered one may have one later", []call{at(0, 1, set, "2222", silence), at(2, 3, reveal, "", shown("1111")), at(4, 5, reveal, "", shown("2222"))}, true},
		{"but then it stays", []call{at(0, 1, set, "2222", silence), at(2, 3, reveal, "", shown("2222")), at(4, 5, reveal, "", shown("1111"))}, false},
		{"guesses count", []call{at(0, 1, verify, "9", result("mismatch", 2)), at(1, 2, verify, "9", result("mismatch", 1)), at(2, 3, verify, "9", result("mismatch", 0)),
			at(4, 5, verify, "1111", result("blocked", 0)), at(6, 7, status, "", result("done", 0))}, true},
		{"a guess beyond the limit is found", []call{at(0, 1, verify, "9", result("mismatch", 2)), at(1, 2, verify, "9", result("mismatch", 1)), at(2, 3, verify, "9", result("mismatch", 0)),
			at(4, 5, verify, "9", result("mismatch", 0))}, false},
		{"two guesses that were told the same number are found", []call{at(0, 5, verify, "9", result("mismatch", 2)), at(1, 4, verify, "8", result("mismatch", 2))}, false},
		{"a match when none is left is found", []call{at(0, 1, verify, "9", result("mismatch", 2)), at(1, 2, verify, "9", result("mismatch", 1)), at(2, 3, verify, "9", result("mismatch", 0)),
			at(4, 5, verify, "1111", result("match", 3))}, false},
		{"an unblock gives all back", []call{at(0, 1, verify, "9", result("mismatch", 2)), at(2, 3, unblock, "", done), at(4, 5, status, "", result("done", 3))}, true},
		{"a change needs the old PIN", []call{at(0, 1, change, "11112222", result("match", -1)), at(2, 3, reveal, "", shown("2222"))}, true},
		{"a change with a wrong one takes a try", []call{at(0, 1, change, "99992222", result("refused", -1)), at(2, 3, status, "", result("done", 2))}, true},
		{"a reset gives all back too", []call{at(0, 1, verify, "9", result("mismatch", 2)), at(2, 3, reset, "3333", done), at(4, 5, status, "", result("done", 3))}, true},
		{"a stale reading is found", []call{at(0, 1, verify, "9", result("mismatch", 2)), at(2, 3, status, "", result("done", 3))}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.holds, linearizable("1111", test.calls, 10*time.Second) == porcupine.Ok)
		})
	}
}
