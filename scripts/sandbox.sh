# shellcheck shell=bash
# Sourced by the scripts that need a running sandbox.

# start_sandbox DIRECTORY [DATABASE-URL] builds the server and starts a sandbox on a port that the kernel
# gives it: PINVAULT_URL, which is exported. Its log is DIRECTORY/server.log; its database, where none is
# named, is SQLite in the same directory, which is emptied first.
start_sandbox() {
	local directory=$1 database=${2:-sqlite://$1/pinvault.db}
	make --silent bin/pinvault
	rm -rf "$directory"
	mkdir -p "$directory"
	: >"$directory/greeting" # there before it is read
	bin/pinvault serve --sandbox --listen 127.0.0.1:0 --database-url "$database" \
		>"$directory/greeting" 2>"$directory/server.log" &
	sandbox=$!
	for _ in {1..100}; do
		PINVAULT_URL=$(sed -n 's/^PinVault sandbox on //p' "$directory/greeting")
		if [ -n "$PINVAULT_URL" ]; then
			export PINVAULT_URL
			return 0
		fi
		kill -0 "$sandbox" 2>/dev/null || break
		sleep 0.1
	done
	cat "$directory/server.log" >&2
	echo 'the sandbox did not start' >&2
	return 1
}

# reset_sandbox resets it to its fixtures.
reset_sandbox() {
	curl --silent --show-error --fail --request POST "$PINVAULT_URL/sandbox/reset"
}

# stop_sandbox is for the EXIT trap.
stop_sandbox() {
	[ -z "${sandbox:-}" ] || kill "$sandbox" 2>/dev/null || true
}

# searched LOG SECRETS [EXPECTED] looks in a log for what no reply shows: errors, panics, 5xx but those that match
# EXPECTED, and what the file SECRETS lists, a text a line: PINs, PANs, keys and tokens that were used.
searched() {
	local found
	if ! [ -s "$2" ]; then
		echo "there is nothing in $2 to search the log for"
		return 1
	fi
	found=$({
		grep -E '"level":"ERROR"|"msg":"panic"|"status":5' "$1" | grep -v -E "${3:-nothing is expected}"
		grep --fixed-strings --file "$2" "$1"
	} | head -n 20 || true)
	[ -z "$found" ] && return
	printf '%s\n' "$found"
	echo "an error, a 5xx or a secret in the log $1"
	return 1
}

# conformed asks the sandbox whether every reply kept its document.
conformed() {
	curl --silent --fail "$PINVAULT_URL/metrics" | awk '
		/^pinvault_response_violations_total/ { samples++; violations += $NF }
		END { print violations + 0 " replies broke their document, of " samples + 0 " counters"; exit !(samples && !violations) }'
}
