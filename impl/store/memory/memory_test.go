package memory_test

import (
	"testing"

	"pinvault/impl/store/memory"
	"pinvault/impl/store/storetest"
)

func TestMemoryKeepsWhatEveryStorePromises(t *testing.T) {
	t.Parallel()
	open := func(*testing.T) storetest.Store { return memory.New() }
	storetest.Run(t, open)
	storetest.RunMany(t, open)
}
