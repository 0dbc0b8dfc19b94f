//go:build !linux && !darwin

package doctor

func spaceOf(string) (space, bool) { return space{}, false }
func fileLimit() (uint64, bool)    { return 0, false }
