#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Shows content credentials that Flink Diffusion writes to c2pa-python, and compares the verdicts of both on good and tampered files.

Run: python check_credentials.py --classpath CLASSPATH   (needs c2pa-python, cryptography, numpy, pillow; the classpath as for compare_images.py)

Files that Java signs have to be valid and trusted for c2pa-python, with the right ingredients and kind of source. Then each of them, and files that c2pa-python
signs itself (ES256, ES384, PS256, Ed25519), is changed in a dozen ways: a pixel, a chunk, an assertion, the claim, the signature ... The Java verifier has to say
what c2pa-python says: the state, and the codes of what failed.
"""

import argparse
import datetime
import io
import json
import random
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from pathlib import Path

import c2pa
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

MAIN = "io.github.flinkdiffusion.ops.credentials.CredentialFiles"
TYPES = {"png": "image/png", "jpg": "image/jpeg", "tif": "image/tiff", "webp": "image/webp"}
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CHANGED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
# What only one of both looks for: certificates' revocation is not asked for in Java.
IGNORED = {"signingCredential.ocsp.skipped"}


def certificates(kind):
    generate = {
        "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "ps256": lambda: rsa.generate_private_key(65537, 2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }[kind]
    name = lambda cn: x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests"), x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    authority, key = generate(), generate()
    digest = None if kind == "ed25519" else hashes.SHA256()
    begin, end = datetime.datetime(2019, 1, 1), datetime.datetime(2045, 1, 1)

    def builder(subject, public, serial):
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject)).issuer_name(name("authority")).public_key(public).serial_number(serial)
            .not_valid_before(begin).not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        )

    usage = lambda sign, certify: x509.KeyUsage(sign, False, False, False, False, certify, certify, False, False)
    root = builder("authority", authority.public_key(), 1).add_extension(x509.BasicConstraints(True, 0), True).add_extension(usage(False, True), True).sign(authority, digest)
    leaf = (
        builder("signer " + kind, key.public_key(), 2)
        .add_extension(x509.BasicConstraints(False, None), True).add_extension(usage(True, False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False)
        .sign(authority, digest)
    )
    pem = lambda certificate: certificate.public_bytes(serialization.Encoding.PEM).decode()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return pem(leaf), secret, pem(root)


def picture(kind, seed):
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, {"png": "PNG", "jpg": "JPEG", "tif": "TIFF", "webp": "WEBP"}[kind])
    return out.getvalue()


def sign(data, kind, signer, ingredients=(), opened=False):
    actions = [{"action": "c2pa.created", "digitalSourceType": GENERATED}]
    if opened:
        actions = [{"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}}, {"action": "c2pa.edited", "digitalSourceType": CHANGED}]
    manifest = {"claim_generator_info": [{"name": "check", "version": "1"}], "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}]}
    context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}})
    builder = c2pa.Builder(json.dumps(manifest), context=context)
    for described, mime, file in ingredients:
        builder.add_ingredient(json.dumps(described), mime, io.BytesIO(file))
    out = io.BytesIO()
    builder.sign(signer, TYPES[kind], io.BytesIO(data), out)
    return out.getvalue()


def signers():
    for kind in ("es256", "es384", "ps256", "ed25519"):
        leaf, secret, root = certificates(kind)
        yield kind, c2pa.Signer.from_info(c2pa.C2paSignerInfo(kind.encode(), leaf.encode(), secret.encode(), None)), root


def tampered(data, kind):
    """Names and bytes of a file's changed forms."""
    store = data.index(b"jumb") - 4
    pixel = {"png": data.find(b"IDAT") + 12, "jpg": len(data) - 20, "tif": store - 400, "webp": data.find(b"VP8") + 30}[kind]
    places = {
        "pixel": pixel,
        "ingredient": data.find(b"dc:title"),
        "actions": data.rfind(b"rainedAlgorithmicMedia"),
        "audit": data.rfind(b"text-to-image"),
        "claim": data.rfind(b"created_assertions"),
        "generator": data.rfind(b"claim_generator_info") + 30,
        "hash": data.rfind(b"c2pa.hash.data", 0, data.rfind(b"c2pa.claim.v2")) + 100,
        "signature": data.rfind(b"c2pa.signature") + 1,
        "certificate": data.rfind(b"c2pa.signature") + 300,
        "label": data.rfind(b"urn:c2pa:", 0, data.rfind(b"c2pa.assertions")) + 12,
        "box length": store + 3,
        "first manifest": data.find(b"c2pa.claim.v2") + 60,
    }
    for name, at in places.items():
        if at and at > 0 and at < len(data):
            changed = bytearray(data)
            changed[at + (4 if name in ("ingredient", "actions", "audit", "claim") else 0)] ^= 1
            yield name, bytes(changed)
    yield "cut", data[: len(data) - 7]
    yield "added", data + b"more bytes"
    if kind == "png":
        text = b"tEXtComment\0hello"
        chunk = (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
        end = data.rindex(b"IEND") - 4
        yield "chunk", data[:end] + chunk + data[end:]
        start = data.index(b"caBX") - 4
        length = int.from_bytes(data[start : start + 4], "big") + 12
        yield "no store", data[:start] + data[start + length :]
        yield "two stores", data[: start + length] + data[start:]
        yield "moved", data[:start] + data[start + length : end] + data[start : start + length] + data[end:]


def python_verdict(file, kind, roots):
    settings = {"verify": {"verify_trust": True}, "trust": {"user_anchors": roots}}
    try:
        with c2pa.Reader(TYPES[kind], io.BytesIO(file), context=c2pa.Context.from_dict(settings)) as reader:
            report = json.loads(reader.json())
    except c2pa.C2paError as e:
        text = str(e)
        return ("NONE" if "ManifestNotFound" in text else "UNREADABLE"), text, None
    results = report["validation_results"]
    failed = [each["code"] for each in results.get("activeManifest", {}).get("failure", [])]
    for delta in results.get("ingredientDeltas", []):
        failed += [each["code"] for each in delta["validationDeltas"]["failure"]]
    return report["validation_state"].upper(), ",".join(sorted(set(failed) - IGNORED)), report


def ingredients(report):
    return ",".join(f"{each.get('title', '')}={each.get('active_manifest', '')}" for each in report["manifests"][report["active_manifest"]].get("ingredients", []))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classpath", required=True)
    parser.add_argument("--keep", type=Path, help="folder for the files, to look at them")
    arguments = parser.parse_args()
    java = ["java", "-Xmx512m", "-cp", arguments.classpath, MAIN]
    wrong = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        (folder / "in.webp").write_bytes(picture("webp", 5))
        subprocess.run([*java, "write", str(folder), str(folder / "in.webp")], check=True)
        roots = (folder / "roots.pem").read_text()
        good = {path.name: path.read_bytes() for path in sorted(folder.glob("e*-*.*"))}
        for name, data in good.items():
            kind = name.split(".")[-1]
            state, failed, report = python_verdict(data, kind, roots)
            if state != "TRUSTED":
                wrong.append(f"{name}: c2pa-python says {state} {failed}")
                continue
            manifest = report["manifests"][report["active_manifest"]]
            titles = [each["title"] for each in manifest.get("ingredients", [])]
            expected = {"created": [[]], "changed": [["image", "mask"], ["image", "mask", "control"]], "of-tampered": [["image"]]}[name.split(".")[0].split("-", 1)[1]]
            if titles not in expected:
                wrong.append(f"{name}: ingredients {titles}")
            source = [action["digitalSourceType"] for each in manifest["assertions"] if each["label"].startswith("c2pa.actions") for action in each["data"]["actions"] if "digitalSourceType" in action]
            if source != [CHANGED if titles else GENERATED]:
                wrong.append(f"{name}: source {source}")
            audit = [each["data"] for each in manifest["assertions"] if each["label"] == "io.github.flinkdiffusion.audit"]
            if not audit or audit[0].get("prompt") != "a caf\u00e9":
                wrong.append(f"{name}: audit {audit}")
        for each in wrong:
            print(each)
        print(f"{len(good)} files signed in Java, c2pa-python finds {len(wrong)} wrong")

        for algorithm, signer, root in signers():
            roots += root if algorithm != "ps256" else ""
            previous = None
            for kind in TYPES:
                plain = picture(kind, 7)
                parts = [] if previous is None else [({"title": "before", "relationship": "parentOf", "label": "parent"}, TYPES[previous[0]], previous[1])]
                data = sign(plain, kind, signer, parts, bool(parts))
                good[f"python-{algorithm}.{kind}"] = data
                previous = (kind, data)
        (folder / "all-roots.pem").write_text(roots)
        for path in folder.glob("refused-*"):
            good[path.name] = path.read_bytes()
        cases = {}
        for name, data in good.items():
            kind = name.split(".")[-1]
            cases[name] = (kind, data)
            for how, changed in tampered(data, kind):
                cases[f"{name.split('.')[0]}--{how.replace(' ', '-')}.{kind}"] = (kind, changed)
        for name, (kind, data) in cases.items():
            (folder / name).write_bytes(data)
        (folder / "list.txt").write_text("\n".join(str(folder / name) for name in cases))
        said = subprocess.run([*java, "read", str(folder / "all-roots.pem"), str(folder / "list.txt")], check=True, capture_output=True, text=True).stdout.splitlines()
        counts, same = Counter(), 0
        for line, (name, (kind, data)) in zip(said, cases.items(), strict=True):
            _, state, failed, named = line.split("\t")
            expected, codes, report = python_verdict(data, kind, roots)
            counts[expected] += 1
            # Readers of X.509 differ in what they say of a broken certificate; nobody may accept it.
            broken = "--certificate" in name and {state, expected} <= {"INVALID", "UNREADABLE"}
            agree = broken or state == expected and (state == "UNREADABLE" or report is None or failed == codes and named == ingredients(report))
            same += agree
            if not agree:
                wrong.append(f"{name}: c2pa-python {expected} {codes}; Java {state} {failed} {named}")
    for each in wrong:
        print(each)
    print(f"{len(cases)} files, {dict(counts)} for c2pa-python; {same} verdicts are the same")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
