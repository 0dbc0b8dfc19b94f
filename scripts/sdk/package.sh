# shellcheck shell=bash
# Sourced by the languages: what their packages are made from and tried with, see README.md.

# quiet LOG COMMAND… shows what a command says only where it fails.
quiet() {
	"${@:2}" >"$1" 2>&1 && return
	cat "$1"
	return 1
}

# facts TEMPLATE OUT writes what a package knows of each contract, by the language's template.
facts() {
	(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && go run ./scripts/sdk/facts openapi "$1" "$2")
}

# changed FILE PATH… tells whether what stands at the paths is not what it was when FILE was written.
changed() {
	[ "$(cat "$1" 2>/dev/null)" != "$(fingerprint "${@:2}")" ]
}

# fingerprint PATH… is what stands there, and the version.
fingerprint() {
	{
		echo "$SDK_VERSION"
		find "$@" -type f -print0 | sort -z | xargs -0 cat
	} | sha256sum
}

# outside makes an empty folder that has nothing to do with this tree: outside_folder, gone when the script ends.
outside() {
	outside_folder=$(mktemp -d "${TMPDIR:-/tmp}/pinvault-sdk.XXXXXX")
	trap 'rm -rf "$outside_folder"' EXIT
}

# quick_start README LANGUAGE prints the first code of a README in a language, as it is run against the sandbox.
quick_start() {
	awk -v fence="\`\`\`$2" '$0 == fence { on = 1; next } /^```/ { if (on) exit } on' "$1" |
		sed "s|http://127.0.0.1:8080|$PINVAULT_URL|g"
}
