#!/usr/bin/env python3
"""Makes an OCI image layout from directories, for tests: each directory becomes one layer.

usage: oci_image.py LAYOUT REFERENCE [--env NAME=VALUE]… [--zstd] [--plain] DIRECTORY…

Prints the digest of the manifest. A layout that is there gets one image more.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile

GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("layout")
    parser.add_argument("reference")
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("--zstd", action="store_true")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("directories", nargs="+")
    options = parser.parse_args()
    blobs = os.path.join(options.layout, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)

    def put(content, media_type):
        name = hashlib.sha256(content).hexdigest()
        with open(os.path.join(blobs, name), "wb") as file:
            file.write(content)
        return {"mediaType": media_type, "digest": "sha256:" + name, "size": len(content)}

    layers, diff_ids = [], []
    for directory in options.directories:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            archive.add(directory, arcname=".")
        content = buffer.getvalue()
        diff_ids.append("sha256:" + hashlib.sha256(content).hexdigest())
        kind = "application/vnd.oci.image.layer.v1.tar"
        if options.zstd:
            content = subprocess.run(["zstd", "-q", "-c"], input=content, stdout=subprocess.PIPE, check=True).stdout
            kind += "+zstd"
        elif not options.plain:
            content = gzip.compress(content, 6, mtime=0)
            kind += "+gzip"
        layers.append(put(content, kind))
    configuration = {
        "os": "linux",
        "architecture": GO_NAMES.get(platform.machine(), platform.machine()),
        "config": {"Env": options.env},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    config = put(json.dumps(configuration).encode(), "application/vnd.oci.image.config.v1+json")
    manifest_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = put(
        json.dumps({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers}).encode(),
        manifest_type,
    )
    print(manifest["digest"])
    manifest["annotations"] = {"org.opencontainers.image.ref.name": options.reference}
    index_file = os.path.join(options.layout, "index.json")
    index = {"schemaVersion": 2, "manifests": []}
    if os.path.exists(index_file):
        with open(index_file) as file:
            index = json.load(file)
    kept = [m for m in index["manifests"] if m.get("annotations") != manifest["annotations"]]
    index["manifests"] = kept + [manifest]
    with open(index_file, "w") as file:
        json.dump(index, file)
    with open(os.path.join(options.layout, "oci-layout"), "w") as file:
        json.dump({"imageLayoutVersion": "1.0.0"}, file)


main()
