package pin

// Input is what an event's MAC covers, for tests that make one.
func (r EventRow) Input(previous []byte) []byte { return r.macInput(previous) }
