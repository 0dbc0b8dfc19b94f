# shellcheck shell=bash
# Sourced by the scripts that must not leave processes behind.

# run_group COMMAND…
#
# Runs the command in a process group of its own, without standard input, and
# returns its status. A signal that ends the script ends the whole group first:
# cancelled by hand or by a CI system, `go test` alone would die and leave its
# test binaries running. The script's EXIT trap runs afterwards.
run_group() {
	local group='' status=0
	trap 'end_group 129' HUP
	trap 'end_group 130' INT
	trap 'end_group 143' TERM
	set -m
	"$@" </dev/null &
	group=$!
	set +m
	wait "$group" || status=$?
	trap - HUP INT TERM
	return "$status"
}

# end_group STATUS is what run_group does when a signal comes.
end_group() {
	trap '' HUP INT TERM
	if [ -n "$group" ]; then
		kill -TERM -- "-$group" 2>/dev/null || true
		wait "$group" 2>/dev/null || true
	fi
	exit "$1"
}
