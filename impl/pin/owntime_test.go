package pin

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAChangeHasTimeOfItsOwn(t *testing.T) {
	for name, c := range map[string]struct{ given, want time.Duration }{
		"five seconds, where nobody gave a time": {0, 5 * time.Second},
		"five seconds of ten":                    {10 * time.Second, 5 * time.Second},
		"a quarter of a minute":                  {time.Minute, 15 * time.Second},
		"no more than the request":               {2 * time.Second, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, hangUp := context.WithCancel(t.Context())
				if c.given > 0 {
					ctx, hangUp = context.WithTimeout(t.Context(), c.given)
				}
				own, cancel := ownTime(ctx)
				defer cancel()
				hangUp()
				require.NoError(t, own.Err(), "it outlives a caller who hangs up")
				end, _ := own.Deadline()
				require.Equal(t, c.want, time.Until(end))
			})
		})
	}
}
