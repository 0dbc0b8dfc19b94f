#!/usr/bin/env python3
"""Says how Specmatic's run of a document's examples ended: specmatic.py NAME DOCUMENT JUNIT-FOLDER, called by run.

A row counts as passed when one of its calls does: Specmatic sends a row once with each kind of authorization that the
operation takes, and a row of a token endpoint is about one of them. So do the examples of files (variants.py), of which
those that Specmatic does not take count as not sent. Prints NAME, what was sent and `ok`, or what is wrong, with tabs
between; and to standard error what it could not send, by what that needs.
"""
import collections
import glob
import json
import re
import sys
import xml.etree.ElementTree as ET

FAILED = ("failure", "error", "skipped")  # of which the last is what it calls a call that could not be made


def rows(document):
    """Each row that the examples can say: what Specmatic calls it."""
    def resolved(node):
        while "$ref" in node:
            at = document
            for step in node["$ref"][2:].split("/"):
                at = at[step]
            node = at
        return node

    for path, item in document["paths"].items():
        for method, operation in item.items():
            parameters = operation.get("parameters", [])
            content = operation.get("requestBody", {}).get("content", {})
            asked = {name for place in [*parameters, *content.values()] for name in place.get("examples", {})}
            for status, response in operation["responses"].items():
                response = resolved(response)
                answered = {name for media in response.get("content", {}).values() for name in media.get("examples", {})}
                for name in sorted(asked & (answered | set(response.get("x-examples", {})))):
                    yield method.upper(), path, status, name


def main():
    name, file, folder = sys.argv[1:]
    with open(file, encoding="utf-8") as text:
        document = json.load(text)
    ended = collections.defaultdict(list)
    for report in glob.glob(folder + "/*.xml"):
        for case in ET.parse(report).iter("testcase"):
            if sent := re.search(r"Scenario: (\S+) (\S+) -> (\d+) with the request from the example '([^']*)'", case.get("name")):
                method, path, status, example = sent.groups()
                path = re.sub(r"\((\w+):\w+\)", r"{\1}", path)
                ended[method, path, status, example].append(all(case.find(bad) is None for bad in FAILED))
    failed, passed = [], 0
    for row in rows(document):
        if not ended[row]:
            failed.append(" ".join(row) + " was not sent")
        elif any(ended[row]):
            passed += 1
        else:
            failed.append(" ".join(row) + " had another reply")
    sent = {example: outcomes for (_, _, _, example), outcomes in ended.items() if "." in example}
    passed += sum(any(outcomes) for outcomes in sent.values())
    failed += [f"{example} had another reply" for example, outcomes in sent.items() if not any(outcomes)]
    unsent = collections.Counter()
    for item in document["paths"].values():
        for operation in item.values():
            of = operation["operationId"]
            unsent.update(why for name, why in operation.get("x-unsent", {}).items() if f"{of}.{name}" not in sent)
    print(f"Specmatic\t{name}\t" + ("; ".join(failed) if failed else "ok") + f"\t{passed}\t{sum(unsent.values())}")
    for needs, count in unsent.most_common():
        print(f"{name}\t{count}\t{needs}", file=sys.stderr)


main()
