package contract_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/oapi-codegen/runtime"
	"github.com/stretchr/testify/require"
)

// The budget of one Set PIN request, contract check and generated binding together: 10 µs and 60
// allocations.
const allocationBudget = 60

// setPin repeats one request without building a new one each time.
type setPin struct {
	request *http.Request
	body    *strings.Reader
	closer  io.ReadCloser
	check   func(*http.Request) bool
}

type setPinBody struct {
	Pin         string  `json:"pin"`
	Description *string `json:"description,omitempty"`
	UpdatedBy   *string `json:"updatedBy,omitempty"`
}

const setPinJSON = `{"pin":"1234","description":"chosen at the branch"}`

func newSetPin(t testing.TB) *setPin {
	t.Helper()
	op := load(t).Operation(http.MethodPost, "/zeta/:publicToken/pin")
	body := strings.NewReader(setPinJSON)
	request, err := http.NewRequest(http.MethodPost, "http://localhost/zeta/103169946/pin", body)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Request-Id", "0f-1")
	params := map[string]string{"publicToken": "103169946"}
	return &setPin{
		request: request,
		body:    body,
		closer:  io.NopCloser(body),
		check:   func(r *http.Request) bool { return op.Check(r, params) == nil },
	}
}

// run says whether the request keeps the contract and binds.
func (s *setPin) run() bool {
	var bound setPinBody
	s.body.Reset(setPinJSON)
	s.request.Body, s.request.ContentLength = s.closer, int64(len(setPinJSON))
	kept := s.check(s.request)
	return kept && runtime.BindJSONBody(s.request, &bound) == nil && bound.Pin == "1234"
}

func BenchmarkCheckSetPIN(b *testing.B) {
	s := newSetPin(b)
	b.ReportAllocs()
	for b.Loop() {
		if !s.run() {
			b.Fatal("the request must keep the contract and bind")
		}
	}
}

func TestCheckAndBindingOfASetPINRequestStayWithinTheirAllocations(t *testing.T) {
	s := newSetPin(t)
	allocations := testing.AllocsPerRun(100, func() {
		if !s.run() {
			t.Fatal("the request must keep the contract and bind")
		}
	})
	require.LessOrEqual(t, allocations, float64(allocationBudget))
}
