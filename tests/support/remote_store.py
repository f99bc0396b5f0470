"""What tests of remote stores share: labels, and what stands in a store, by the description in docs/remote-store.md and not by the program."""

import hashlib
import json


def alert(name, expr, index=None, **more):
    """The labels of one alert."""
    suffix = "" if index is None else "." + str(index)
    out = {"com.df.alertName" + suffix: name, "com.df.alertIf" + suffix: expr}
    for key, value in more.items():
        out["com.df.%s%s" % (key, suffix)] = value
    return out


def labels(port=None, *alerts, **more):
    out = {"com.df.notify": "true"}
    if port:
        out["com.df.scrapePort"] = str(port)
    for one in alerts:
        out.update(one)
    out.update({"com.df." + k: v for k, v in more.items()})
    return out


def digest(*parts):
    return hashlib.sha256(b"".join(parts)).digest()[:16]


def path_and_digest(path, d):
    return path.encode() + b"\0" + d


def files_of(head, shards):
    """{path: text} of a head."""
    out = {}
    for name in head["shards"]:
        for piece in json.loads(shards[name])["pieces"]:
            out[piece["path"]] = out.get(piece["path"], "") + piece["text"]
    return out


def generation_of(files):
    top, folders = b"", {}
    for path in sorted(files):
        entry = path_and_digest(path, digest(files[path].encode()))
        if path.startswith("rules/"):
            folders[path[:8]] = folders.get(path[:8], b"") + entry
        elif not path.startswith("targets/"):
            top += entry
    return digest(top, *(path_and_digest(folder, digest(folders[folder])) for folder in sorted(folders))).hex()


def whole(head, shards):
    """The files of a head, {path: text}; an AssertionError if a shard is not there or not what its name says, or the generation is another."""
    for name in head["shards"]:
        if digest(shards[name]).hex() != name:
            raise AssertionError("shard %s is another" % name)
    files = files_of(head, shards)
    if generation_of(files) != head["digest"]:
        raise AssertionError("a mixture")
    return files


def shard_of(files):
    """(name, text) of one shard with these files."""
    text = json.dumps({"format": 1, "pieces": [{"path": path, "at": 0, "of": len(data.encode()), "text": data} for path, data in files.items()]})
    return digest(text.encode()).hex(), text
