"""Code samples of the documents in openapi/, for scripts/sdk/samples:

    samples.py extract FOLDER [DOCUMENT…]      writes each sample to a file, and prints where it is
    samples.py check DOCUMENT OPERATION FILE   fails unless the last line of a sample's output is the
                                               documented success of the operation
"""
import json
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = {"curl": "sample.sh", "Go": "main.go", "TypeScript": "sample.ts", "Python": "sample.py", "Java": "Sample.java"}


def documents():
    for path in sorted((ROOT / "openapi").glob("*.yaml")):
        if not path.name.endswith(".cfg.yaml"):
            yield path.stem, yaml.safe_load(path.read_text())


def operations(document):
    for path in document["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict) and "operationId" in operation:
                yield operation


def pins():
    """The libraries of all languages as (name, version)."""
    libraries = Path(__file__).parent / "libraries"
    yield from re.findall(r"^\s*(?:require )?(\S+) v(\S+)", (ROOT / "go.mod").read_text(), re.M)
    yield from json.loads((libraries / "package.json").read_text())["dependencies"].items()
    yield from (line.split("==") for line in (libraries / "requirements.txt").read_text().split())
    for group, name, version in re.findall(r"<groupId>(.*?)</groupId>\s*<artifactId>(.*?)</artifactId>\s*<version>(.*?)</version>",
                                           (libraries / "pom.xml").read_text()):
        yield f"{group}:{name}", version


def extract(folder, *names):
    known = {tuple(pin) for pin in pins()}
    for name, document in documents():
        if names and name not in names:
            continue
        for operation in operations(document):
            for sample in operation.get("x-codeSamples", []):
                where = f"{name} {operation['operationId']} {sample['label']}"
                named = re.findall(r"(\S+?)(?:@v?|==|:)(\d[\w.]*)", sample["source"].split("\n")[0])
                for library in named:
                    if library not in known:
                        raise SystemExit(f"samples: {where}: {' '.join(library)} is not what is pinned")
                file = Path(folder, name, operation["operationId"], FILES[sample["label"]])
                file.parent.mkdir(parents=True, exist_ok=True)
                if file.exists():
                    raise SystemExit(f"samples: {where}: there are two")
                file.write_text(sample["source"])
                print(where, file)


def resolve(document, thing):
    while "$ref" in thing:
        base, _, pointer = thing["$ref"].partition("#/")
        if base:
            document = yaml.safe_load((ROOT / "openapi" / base).read_text())
        thing = document
        for part in pointer.split("/"):
            thing = thing[part]
    return thing


def compare(document, schema, example, reply, at):
    """Holds a reply to its schema's members and, where the schema has a list of values, to the example's.
    Returns how many such values there were."""
    schema = resolve(document, schema)
    for part in schema.get("allOf", []):
        schema = {**schema, **resolve(document, part)}
    if "properties" not in schema:
        if type(reply) is not type(example) or "enum" in schema and reply != example:
            raise SystemExit(f"samples: {at or '/'} is {reply!r}, and {example!r} in the example")
        return 1 if "enum" in schema else 0
    if unlike := set(schema.get("required", [])) - set(reply) | set(reply) - set(schema["properties"]):
        raise SystemExit(f"samples: {at or '/'} lacks, or should not have: {', '.join(sorted(unlike))}")
    return sum(compare(document, member, example[name], reply[name], f"{at}/{name}")
               for name, member in schema["properties"].items() if name in reply and name in example)


def check(name, operation_id, file):
    document = dict(documents())[name]
    operation = next(o for o in operations(document) if o["operationId"] == operation_id)
    status = min(s for s in operation["responses"] if s.startswith("2"))
    last = (Path(file).read_text().strip().split("\n"))[-1]
    content = resolve(document, operation["responses"][status]).get("content")
    if not content:
        if last != status:
            raise SystemExit(f"samples: the output ends with {last!r}, not with {status}")
        return
    media = content["application/json"]
    example = resolve(document, next(iter(media["examples"].values())))
    schema = media["schema"]
    if "x-decrypted-schema" in media:
        schema = {"$ref": f"#/components/schemas/{media['x-decrypted-schema']}"}
    if compare(document, schema, example.get("x-decrypted", example["value"]), json.loads(last), "") == 0:
        raise SystemExit(f"samples: nothing in a reply of {operation_id} tells success")


if __name__ == "__main__":
    {"extract": extract, "check": check}[sys.argv[1]](*sys.argv[2:])
