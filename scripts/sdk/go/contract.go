package pinvault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Contract is what has to be known of a contract beyond its operations. Each contract's package has its own.
type Contract struct {
	Name           string
	CodeAt, TextAt []string          // JSON pointers into a reply
	Advice         map[string]string // by code or status
	Repeats        []Repeat
}

// Repeat is a call that may be repeated: where it bears a header, with a value where one is named.
type Repeat struct {
	Method        string
	Path          *regexp.Regexp
	Header, Value string
}

// Error is a reply that a contract documents as an error, or one with a status of 400 and above.
type Error struct {
	Contract string // thredd, accosa and so on
	Status   int
	Code     string // the contract's own, else the status as text: one of its package's constants
	Text     string // what the reply says
	Advice   string // what the document says one should do about it, "" for a code that it does not have
	Body     []byte // of the reply, opened where it was sealed
	// After how long to try again (Retry-After), 0 where the reply does not say. The call was not repeated where that is
	// longer than it waits for by itself.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %d %s", e.Contract, e.Status, e.Code)
	for _, part := range []string{e.Text, e.Advice} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

// failure is what a reply with this body is the error of, nil for none.
func (c *Contract) failure(reply *http.Response, body []byte) *Error {
	status := reply.StatusCode
	var value any
	if json.Unmarshal(body, &value) != nil {
		value = nil
	}
	code := textAt(value, c.CodeAt)
	if _, documented := c.Advice[code]; status < http.StatusBadRequest && !documented {
		return nil
	}
	if code == "" {
		code = strconv.Itoa(status)
	}
	advice, known := c.Advice[code]
	if !known {
		advice = c.Advice[strconv.Itoa(status)]
	}
	return &Error{c.Name, status, code, textAt(value, c.TextAt), advice, body, retryAfter(reply)}
}

// retryAfter is after how long a reply says that one may try again, 0 where it does not say, or names a date, which only
// other servers do.
func retryAfter(reply *http.Response) time.Duration {
	seconds, err := strconv.ParseUint(reply.Header.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// textAt is the first text or number that one of the JSON pointers leads to, "" where there is none.
func textAt(value any, pointers []string) string {
	for _, pointer := range pointers {
		found := value
		for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
			switch within := found.(type) {
			case map[string]any:
				found = within[step]
			case []any:
				i, err := strconv.Atoi(step)
				if found = nil; err == nil && i >= 0 && i < len(within) {
					found = within[i]
				}
			default:
				found = nil
			}
		}
		switch found := found.(type) {
		case string:
			if found != "" {
				return found
			}
		case float64:
			return strconv.FormatFloat(found, 'f', -1, 64)
		}
	}
	return ""
}
