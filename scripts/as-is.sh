# shellcheck shell=bash
# Sourced by the scripts that get what a machine does not have. With AS_IS=1 (`make check`) they get
# nothing, leave out what needs it, and say so.

# left_out WHAT notes what is missing, in the file LEFT_OUT where there is one.
left_out() {
	if [ -n "${LEFT_OUT:-}" ]; then
		echo "$1" >>"$LEFT_OUT"
	else
		echo "left out, because it is missing here: $1" >&2
	fi
}

# getting WHAT [HOW-LONG] announces that something is about to be downloaded or built. With AS_IS=1 it is
# left out instead, and the status is 77: "skipped", as automake has it.
getting() {
	if [ -n "${AS_IS:-}" ]; then
		left_out "$1"
		return 77
	fi
	echo "getting $1${2:+: $2}" >&2
}
