# shellcheck shell=bash
# Sourced by what needs programs that a fresh machine may not have.

# need COMMAND=PACKAGE… installs Debian's packages of the commands that are not there.
need() {
	local wanted missing=() as_root=()
	for wanted in "$@"; do
		command -v "${wanted%%=*}" >/dev/null || missing+=("${wanted#*=}")
	done
	[ ${#missing[@]} != 0 ] || return 0
	[ "$(id -u)" = 0 ] || as_root=(sudo)
	if ! command -v apt-get >/dev/null || ! command -v "${as_root[0]:-true}" >/dev/null; then
		echo "Please install: ${missing[*]} (Debian's names; there is no apt-get here, or neither root nor sudo to run it)." >&2
		return 1
	fi
	echo "installing ${missing[*]} with apt-get"
	"${as_root[@]}" apt-get update -qq
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
