"""Takes the names of the containers that an image was made in out of its archive, so that the same image is the
same bytes; and the files for Docker before 1.10.

    image.py FOLDER TAG     FOLDER is an unpacked docker-archive
"""

import hashlib
import json
import pathlib
import sys

folder, tag = pathlib.Path(sys.argv[1]), sys.argv[2]
[image] = json.loads((folder / "manifest.json").read_text())
config = json.loads((folder / image["Config"]).read_text())
for part in (config, config["config"], config["container_config"]):
    for name in ("container", "Hostname"):
        part.pop(name, None)

text = json.dumps(config)
name = hashlib.sha256(text.encode()).hexdigest() + ".json"
kept = folder / "kept"
kept.mkdir()
(kept / name).write_text(text)
(kept / "manifest.json").write_text(json.dumps([{"Config": name, "RepoTags": [tag], "Layers": image["Layers"]}]))
for layer in image["Layers"]:
    (folder / layer).rename(kept / layer)
