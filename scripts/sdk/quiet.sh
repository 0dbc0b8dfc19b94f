# shellcheck shell=bash
# Sourced by the languages whose tools say much.

# quiet LOG COMMAND… shows what a command says only where it fails.
quiet() {
	"${@:2}" >"$1" 2>&1 && return
	cat "$1"
	return 1
}
