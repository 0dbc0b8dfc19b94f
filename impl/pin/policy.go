package pin

import "strings"

// Policy says which PINs a program refuses when a cardholder chooses one.
type Policy string

// The policies. Each refuses what the ones before it refuse.
const (
	PolicyOff      Policy = "off"
	PolicyWeakList Policy = "weak-list" // PINs that a thief tries first
	PolicyHistory  Policy = "history"   // and the card's current PIN and its last HistoryDepth ones
)

// HistoryDepth is how many former PINs PolicyHistory remembers.
const HistoryDepth = 4

// popular are frequent choices that no pattern below covers: keypad columns, crosses and corners,
// well-known years and dates.
var popular = map[string]bool{
	"2580": true, "0852": true, "1470": true, "1593": true, "3570": true, "1397": true, "7913": true,
	"1379": true, "1793": true, "2468": true, "1357": true, "8642": true, "7531": true, "1004": true,
	"1999": true, "2000": true, "2001": true, "2010": true, "2020": true, "1984": true, "1945": true,
	"0007": true, "5683": true, "147258": true, "159753": true, "147852": true, "258456": true,
	"112233": true, "332211": true,
}

// weak tells whether a thief would try the PIN among the first: one digit or a group of digits
// repeated, a run up or down the digits, a popular choice.
func weak(p PIN) bool {
	d := string(p.Digits())
	if popular[d] {
		return true
	}
	for group := 1; group <= len(d)/2; group++ {
		if len(d)%group == 0 && strings.Repeat(d[:group], len(d)/group) == d {
			return true
		}
	}
	up, down := true, true
	for i := 1; i < len(d); i++ {
		step := (int(d[i]) - int(d[i-1]) + 10) % 10 // 9 is followed by 0 on a keypad
		up, down = up && step == 1, down && step == 9
	}
	return up || down
}

// Check refuses a PIN outside the program's length range or weak by its policy.
func (p Program) Check(candidate PIN) error {
	switch {
	case candidate.Len() < p.MinPINLength || candidate.Len() > p.MaxPINLength:
		return &Error{Code: PINLength}
	case p.Policy != PolicyOff && weak(candidate):
		return &Error{Code: WeakPIN}
	}
	return nil
}
