# shellcheck shell=bash
# Sourced by the gates' tests and by mutation testing: goes into a copy of the tree
# as it is at this moment, committed or not, with the tools that are installed
# already. The copy and what runs in it are gone when the script ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

scratch=$(mktemp -d "${TMPDIR:-/tmp}/pinvault-gate.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/tree"
tar --create --exclude=./.git --exclude=./.local --exclude=./bin --exclude=node_modules . | tar --extract --directory "$scratch/tree"
mkdir -p .local/tools .local/openapi
mkdir "$scratch/tree/.local"
ln -s "$PWD/.local/tools" "$PWD/.local/openapi" "$scratch/tree/.local"
cd "$scratch/tree"
export GOFLAGS=-trimpath # what was compiled elsewhere can be used here

# change FILE SED-SCRIPT edits a file, and fails where that changes nothing.
change() {
	sed --in-place=.before "$2" "$1"
	! cmp -s "$1" "$1.before" || {
		echo "this is not a slip: $2 changes nothing in $1" >&2
		return 1
	}
	rm "$1.before"
}

# caught TEXT COMMAND… demands that the command fails and says the text.
caught() {
	local text=$1 status=0
	shift
	"$@" >"$scratch/said" 2>&1 || status=$?
	case $status in
	0)
		cat "$scratch/said"
		echo "not caught: $* passes" >&2
		return 1
		;;
	77) exit 77 ;; # left out: what it takes is not here, see scripts/as-is.sh
	esac
	said "$text"
}

# said TEXT demands that the command that was caught said this too.
said() {
	grep -qF -e "$1" "$scratch/said" || {
		cat "$scratch/said"
		echo "caught, but without a word of: $1" >&2
		return 1
	}
}
