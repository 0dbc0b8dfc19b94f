#!/usr/bin/env python3
"""Writes files of examples for Specmatic beside a document: variants.py DOCUMENT ROWS, called by run.

Specmatic takes calls with another method or another content type than an operation has (405, 415) from files alone, in
the folder <document>_examples. ROWS are the document's own rows, as the server has them for its pages. Left out is what
Specmatic refuses to take: a call without a content type, or with a coding, since the content type is then the
operation's. Credentials are in the variables that Specmatic has them in.
"""
import json
import os
import sys

METHODS = ("get", "put", "post", "delete", "patch")


def body(row):
    """What a row sends, as Specmatic has it: JSON as it is, any other as a text."""
    return json.loads(row["body"]) if "json" in row["type"] else row["body"]


def example(operation, methods, name, rows):
    """The file of a row, None where Specmatic takes none."""
    row = rows.get(f"{operation}.{name}")
    if row is None or row["reply"]["status"] not in (405, 415):
        return None
    status = row["reply"]["status"]
    request = {"method": row["method"], "path": row["path"]}
    headers = {key: values[0] for sent in ("headers", "override") for key, values in row.get(sent, {}).items() if values}
    if status == 405:
        plain = [r for key, r in rows.items() if key.startswith(operation + ".") and r["reply"]["status"] < 300 and "json" in r.get("type", "json")]
        if not plain:
            return None
        if "body" in plain[0]:
            request["body"] = body(plain[0])
            headers["Content-Type"] = plain[0]["type"]
    elif "Content-Type" not in headers or "Content-Encoding" in headers:
        return None
    else:
        request["body"] = row.get("body", "")
        if row.get("bearer"):
            headers["Authorization"] = "Bearer " + os.environ["oauth2"]
        if "key" in row:
            headers[row["key"]] = os.environ["apiKey"]
    if headers:
        request["headers"] = headers
    response = {"status": status}
    if "type" in row["reply"]:
        response["headers"] = {"Content-Type": row["reply"]["type"]}
        response["body"] = json.loads(row["reply"]["body"])
    if status == 405:
        allow = row["reply"].get("headers", {}).get("Allow", [", ".join(methods)])
        response.setdefault("headers", {})["Allow"] = allow[0]
    return {"http-request": request, "http-response": response}


def main():
    file, known = sys.argv[1:]
    with open(file, encoding="utf-8") as text:
        document = json.load(text)
    with open(known, encoding="utf-8") as text:
        rows = json.load(text)["rows"]
    folder = file.removesuffix(".json") + "_examples"
    os.makedirs(folder, exist_ok=True)
    for item in document["paths"].values():
        methods = [method.upper() for method in METHODS if method in item]
        for operation in item.values():
            for name in operation.get("x-unsent", {}):
                found = example(operation["operationId"], methods, name, rows)
                if found:
                    with open(f"{folder}/{operation['operationId']}.{name}.json", "w", encoding="utf-8") as out:
                        json.dump(found, out)


main()
