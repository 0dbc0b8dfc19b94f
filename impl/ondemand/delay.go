package ondemand

import (
	"math"
	"time"
)

// Distributions of delays.
const (
	Fixed     = "fixed"
	Uniform   = "uniform"
	Lognormal = "lognormal"
)

// Delay is how long calls take besides.
type Delay struct {
	Distribution string `json:"distribution"`
	MinMs        int    `json:"minMs"`           // the delay, the least of it, or its median
	MaxMs        *int   `json:"maxMs,omitempty"` // the most of it, or the 99th percentile; nil: as MinMs
}

// longest is the most that a delay comes to, in milliseconds: a lognormal distribution has no end.
const longest = 60_000

// z99 is how many standard deviations of a normal distribution lie between its middle and its 99th percentile.
const z99 = 2.3263478740408408

// Of is the delay of one call: uniform is drawn from [0, 1), normal from a normal distribution with mean 0 and standard
// deviation 1.
func (d Delay) Of(uniform, normal float64) time.Duration {
	least, most := float64(d.MinMs), float64(d.MinMs)
	if d.MaxMs != nil {
		most = float64(*d.MaxMs)
	}
	ms := least
	switch d.Distribution {
	case Uniform:
		ms += uniform * (most - least)
	case Lognormal:
		least, most = max(least, 1), max(most, 1) // nothing has the logarithm of 0
		ms = least * math.Exp(normal*math.Log(most/least)/z99)
	}
	return time.Duration(min(ms, longest) * float64(time.Millisecond))
}
