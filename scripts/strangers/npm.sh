# shellcheck shell=bash
# Sourced by the tools that come from npm, from the root of the tree.

# npm_bin FOLDER installs, once, what the lock in scripts/strangers/FOLDER names, and sets bin to where its programs are.
npm_bin() {
	local lock=$PWD/scripts/strangers/$1 into=$OUT/../npm/$1
	scripts/packages node npm >&2
	mkdir -p "$into"
	into=$(cd "$into" && pwd)
	# The lock names versions and their hashes, and no registry.
	if ! cmp -s "$lock/package-lock.json" "$into/node_modules/.installed"; then
		cp "$lock/package.json" "$lock/package-lock.json" "$into"
		(cd "$into" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >&2)
		cp "$lock/package-lock.json" "$into/node_modules/.installed" # last: it says that all is there
	fi
	# shellcheck disable=SC2034 # for whoever sources this
	bin=$into/node_modules/.bin
}
