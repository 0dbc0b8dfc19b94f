package apptest

import (
	"fmt"
	"strconv"
)

// PAN is that of a test's n-th card: of a BIN that no scheme has given to anybody, with its check digit (ISO/IEC 7812-1, annex B).
func PAN(n int) string {
	digits := fmt.Sprintf("999999%09d", n)
	sum := 0
	for i, d := range []byte(digits) {
		value := int(d - '0')
		if (len(digits)-i)%2 == 1 {
			if value *= 2; value > 9 {
				value -= 9
			}
		}
		sum += value
	}
	return digits + strconv.Itoa((10-sum%10)%10)
}
