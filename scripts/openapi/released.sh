# shellcheck shell=bash
# Sourced by the scripts that compare the documents with those last released, from the root of the tree.
# shellcheck source=scripts/tool.sh
source scripts/tool.sh

# differ prints the path of oasdiff.
differ() {
	tool github.com/oasdiff/oasdiff@v1.30.0
}

# documents DIRECTORY lists the documents in it, a line each.
documents() {
	find "$1" -maxdepth 1 -name '*.yaml' ! -name '*.cfg.yaml' | sort
}

# opened DIRECTORY writes the documents into DIRECTORY/released and DIRECTORY/now with their messages in place of their
# envelopes: what is inside a sealed message is a contract as well, which nobody sees from outside.
opened() {
	mkdir "$1/released" "$1/now"
	go run ./scripts/openapi/messages openapi/released "$1/released"
	go run ./scripts/openapi/messages openapi "$1/now"
}

# seals DOCUMENT tells whether it has sealed messages.
seals() {
	grep -q x-decrypted-schema "$1"
}
