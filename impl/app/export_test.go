package app

// Observing is what calls of key backends are told to.
var Observing = observing
