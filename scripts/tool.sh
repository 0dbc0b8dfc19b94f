# shellcheck shell=bash
# Sourced by the scripts that need a tool from elsewhere, from the root of the tree.
# shellcheck source=scripts/as-is.sh
source scripts/as-is.sh

# tool PACKAGE@VERSION prints the path of a tool in Go, which is built. It is moved into place
# whole: another run may be building, or using, the same one. With AS_IS=1 nothing is built, and the status is 77.
tool() {
	local name version dir scratch
	name=$(basename "${1%@*}")
	version=${1#*@}
	dir=.local/tools/$name-$version-$(go env GOVERSION)
	if [ ! -x "$dir/$name" ]; then
		getting "$name $version" 'a minute or two, once' || return
		mkdir -p "$dir"
		scratch=$(mktemp -d "$PWD/.local/tools/build.XXXXXX")
		CGO_ENABLED=0 GOBIN=$scratch go install "$1" || true
		[ ! -e "$scratch/$name" ] || mv "$scratch/$name" "$dir/$name"
		rm -rf "$scratch"
	fi
	[ -x "$dir/$name" ] && echo "$dir/$name"
}

# node_tools installs what works on the documents and comes from npm into .local/openapi. The lock names
# versions and their hashes, and no registry.
node_tools() {
	cmp -s scripts/openapi/package-lock.json .local/openapi/installed && return
	getting 'Spectral and Redocly CLI' 'half a minute, once' || return
	mkdir -p .local/openapi &&
		cp scripts/openapi/package.json scripts/openapi/package-lock.json .local/openapi &&
		(cd .local/openapi && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error) &&
		cp scripts/openapi/package-lock.json .local/openapi/installed # last: it says that all is there
}

# redocly runs Redocly CLI, without a word to anybody, and without a word on what Node will be in a year.
redocly() {
	REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true REDOCLY_SUPPRESS_NOTIFICATIONS=true \
		.local/openapi/node_modules/.bin/redocly "$@"
}

# quietly COMMAND… shows what a command says only when it fails.
quietly() {
	local said
	said=$("$@" 2>&1) && return
	printf '%s\n' "$said"
	return 1
}
