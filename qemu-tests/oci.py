# SPDX-FileCopyrightText: The kchain authors
# SPDX-License-Identifier: Apache-2.0
"""Container images made here, entry by entry: layers in which everything can be wrong, OCI layouts and docker's archives of them."""
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

MEDIA = "application/vnd.oci.image."
CONFIG = {"Entrypoint": ["/bin/app"], "Env": ["PATH=/bin"], "Cmd": ["serve"]}
TIME = 1600000000


def entry(name, kind=tarfile.REGTYPE, data=b"", **more):
    """(header, bytes): `more` are members of the header; `xattrs` a dictionary of texts."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mtime = kind, len(data), TIME
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    xattrs = more.pop("xattrs", {})
    for key, value in more.items():
        setattr(info, key, value)
    info.pax_headers = {"SCHILY.xattr." + key: value for key, value in xattrs.items()}
    return info, data


def folder(name, **more):
    return entry(name, tarfile.DIRTYPE, **more)


def link(name, target, **more):
    return entry(name, tarfile.SYMTYPE, linkname=target, mode=0o777, **more)


def hard(name, target):
    return entry(name, tarfile.LNKTYPE, linkname=target)


def whiteout(path):
    head, _, name = path.rpartition("/")
    return entry(f"{head}/.wh.{name}" if head else ".wh." + name)


def opaque(path):
    return entry(path + "/.wh..wh..opq" if path else ".wh..wh..opq")


def tar(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pack(data, how):
    if how == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Layout:
    """An image layout as a dictionary of files, to be written as a folder or a tar archive."""

    def __init__(self):
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        self.manifests = []

    def blob(self, data, kind, **more):
        """Its descriptor."""
        data = json.dumps(data).encode() if isinstance(data, dict) else data
        self.files["blobs/sha256/" + digest(data)] = data
        return {"mediaType": MEDIA + kind, "digest": "sha256:" + digest(data), "size": len(data), **more}

    def image(self, layers, tag="latest", how="gzip", config=None, platform=("linux", "amd64"), listed=None, change=None):
        """`layers`: lists of entries, or bytes. `listed`: the platform that the index says. `change`: called with manifest and config."""
        layers = [layer if isinstance(layer, bytes) else tar(layer) for layer in layers]
        kind = "layer.v1.tar" + ("+" + how if how else "")
        document = {"os": platform[0], "architecture": platform[1], "config": CONFIG if config is None else config,
                    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(layer) for layer in layers]}}
        manifest = {"schemaVersion": 2, "layers": [self.blob(pack(layer, how), kind) for layer in layers]}
        if change:
            change(manifest, document)
        manifest["config"] = self.blob(document, "config.v1+json")
        found = self.blob(manifest, "manifest.v1+json")
        if tag:
            found["annotations"] = {"org.opencontainers.image.ref.name": tag}
        if listed:
            found["platform"] = {"os": listed[0], "architecture": listed[1], **({"variant": listed[2]} if len(listed) > 2 else {})}
        self.manifests.append(found)
        return found

    def finished(self):
        return {**self.files, "index.json": json.dumps({"schemaVersion": 2, "manifests": self.manifests}).encode()}

    def write_folder(self, path):
        for name, data in self.finished().items():
            os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
            with open(os.path.join(path, name), "wb") as out:
                out.write(data)
        return path

    def write_tar(self, path, how=None):
        with open(path, "wb") as out:
            out.write(pack(tar([entry(name, data=data) for name, data in sorted(self.finished().items())]), how))
        return path


def layout(layers, **more):
    made = Layout()
    made.image(layers, **more)
    return made


def docker(layers, path, tags=("web:latest",), config=None, how=None, change=None, names=None):
    """What `docker save` of version 24 and older writes."""
    layers = [layer if isinstance(layer, bytes) else tar(layer) for layer in layers]
    document = {"os": "linux", "architecture": "amd64", "config": CONFIG if config is None else config,
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(layer) for layer in layers]}}
    names = names or [digest(layer) + "/layer.tar" for layer in layers]
    manifest = {"Config": "", "RepoTags": list(tags), "Layers": names}
    if change:
        change(manifest, document)
    text = json.dumps(document).encode()
    manifest["Config"] = manifest["Config"] or digest(text) + ".json"
    entries = [entry(manifest["Config"], data=text)]
    entries += [entry(name, data=layer) for name, layer in zip(names, layers)]
    entries.append(entry("manifest.json", data=json.dumps([manifest]).encode()))
    with open(path, "wb") as out:
        out.write(pack(tar(entries), how))
    return path


# --- trees, as an archive's reader and as the system say them ---

KINDS = {0o100000: "f", 0o040000: "d", 0o120000: "l", 0o020000: "c", 0o060000: "b", 0o010000: "p"}


def encoded(rdev):
    major, minor = os.major(rdev), os.minor(rdev)
    return minor & 0xff | major << 8 | (minor & ~0xff) << 12


def of_system(top):
    """What lies below a folder, by path; names of one inode have the first of them."""
    found, first = {}, {}
    paths = [top]
    for where, folders, files in os.walk(top):
        paths += [os.path.join(where, name) for name in folders + files]
    for path in sorted(paths, key=lambda p: os.fsencode(p[len(top):] or "/")):
        about = os.lstat(path)
        name, kind = path[len(top):] or "/", KINDS[about.st_mode & 0o170000]
        if kind != "d" and about.st_nlink > 1 and about.st_ino in first:
            found[name] = {"type": kind, "hard_link": first[about.st_ino]}
            continue
        first[about.st_ino] = name
        data = b""
        if kind == "f":
            with open(path, "rb") as file:
                data = file.read()
        found[name] = {"type": kind, "mode": about.st_mode & 0o7777, "uid": about.st_uid, "gid": about.st_gid,
                       "rdev": encoded(about.st_rdev) if kind in "cb" else 0, "mtime": about.st_mtime_ns // 10**9,
                       "size": len(data), "target": os.readlink(path) if kind == "l" else None,
                       "sha256": digest(data) if kind == "f" else "",
                       "xattrs": {key: os.getxattr(path, key, follow_symlinks=False).hex()
                                  for key in os.listxattr(path, follow_symlinks=False) if key != "security.selinux"}}
    return found
