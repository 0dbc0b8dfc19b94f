"""Answers what psec_test.go asks of psec: a question a line, JSON in and out. Bytes are hexadecimal; what psec refuses is its `error`."""

import json
import sys
import warnings

warnings.filterwarnings("ignore")  # cryptography moves TDES to where it keeps what is decrepit

from psec import des, pin, pinblock, tr31  # noqa: E402


def wrap(q):
    header = tr31.Header(q["version"], q["usage"], q["algorithm"], q["mode"], q["keyVersion"], q["exportability"])
    for name, data in q.get("blocks", []):
        header.blocks[name] = data
    return {"block": tr31.wrap(bytes.fromhex(q["kbpk"]), header, bytes.fromhex(q["wrapped"]))}


def unwrap(q):
    header, key = tr31.unwrap(bytes.fromhex(q["kbpk"]), q["block"])
    return {
        "version": header.version_id, "usage": header.key_usage, "algorithm": header.algorithm, "mode": header.mode_of_use,
        "keyVersion": header.version_num, "exportability": header.exportability, "blocks": list(header.blocks.items()), "wrapped": key.hex(),
    }  # fmt: skip


def pack(q):
    key, digits, pan = bytes.fromhex(q["key"]), q["pin"], q["pan"]
    if q["format"] == "ISO-4":
        return {"block": pinblock.encipher_pinblock_iso_4(key, digits, pan).hex()}
    clear = {"ISO-0": pinblock.encode_pinblock_iso_0, "ISO-3": pinblock.encode_pinblock_iso_3}[q["format"]](digits, pan)
    return {"block": des.encrypt_tdes_ecb(key, clear).hex()}


def open_block(q):
    key, block, pan = bytes.fromhex(q["key"]), bytes.fromhex(q["block"]), q["pan"]
    if q["format"] == "ISO-4":
        return {"pin": pinblock.decipher_pinblock_iso_4(key, block, pan)}
    return {"pin": {"ISO-0": pinblock.decode_pinblock_iso_0, "ISO-3": pinblock.decode_pinblock_iso_3}[q["format"]](des.decrypt_tdes_ecb(key, block), pan)}


def pvv(q):
    return {"pvv": pin.generate_visa_pvv(bytes.fromhex(q["key"]), str(q["index"]), q["pin"][:4], q["pan"])}


def ibm3624(q):
    how = (q["pan"], q["start"], q["digits"], q["pad"])
    key = bytes.fromhex(q["key"])
    offset = pin.generate_ibm3624_offset(key, q["table"], q["pin"], *how)
    return {
        "natural": pin.generate_ibm3624_pin(key, q["table"], "0" * len(q["pin"]), *how),
        "offset": offset,
        "pin": pin.generate_ibm3624_pin(key, q["table"], offset, *how),
    }


def check_value(q):
    return {"checkValue": des.generate_kcv(bytes.fromhex(q["key"]), 8).hex()}


ASKED = {f.__name__: f for f in (wrap, unwrap, pack, open_block, pvv, ibm3624, check_value)}

for line in sys.stdin:
    question = json.loads(line)
    try:
        answer = ASKED[question.pop("ask")](question)
    except ValueError as refused:
        answer = {"error": str(refused)}
    print(json.dumps(answer), flush=True)
