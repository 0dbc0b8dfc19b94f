# shellcheck shell=bash
# Sourced by the scripts that must not leave processes behind.
#
# A command runs in a process group of its own, without standard input. A signal that
# ends the script ends all its groups first: cancelled by hand or by a CI system, `go
# test` alone would die and leave its test binaries running. The script's EXIT trap
# runs afterwards.

groups=() # those that run

# run_group COMMAND… runs it and returns its status.
run_group() {
	start_group "$@"
	wait_group "$started"
}

# start_group COMMAND… begins it and goes on. $started is what wait_group takes.
start_group() {
	trap 'end_groups 129' HUP
	trap 'end_groups 130' INT
	trap 'end_groups 143' TERM
	set -m
	"$@" </dev/null &
	started=$!
	set +m
	groups[started]=$started
}

# wait_group STARTED returns its status when it is over.
wait_group() {
	local status=0
	wait "$1" || status=$?
	unset "groups[$1]"
	[ ${#groups[@]} != 0 ] || trap - HUP INT TERM
	return "$status"
}

# end_groups STATUS is what happens when a signal comes.
end_groups() {
	local group
	trap '' HUP INT TERM
	for group in "${groups[@]}"; do
		kill -TERM -- "-$group" 2>/dev/null || true
	done
	for group in "${groups[@]}"; do
		wait "$group" 2>/dev/null || true
	done
	exit "$1"
}
