"""Does what a Dockerfile says without an engine, and runs the result as the image would be run.

    python steps.py DOCKERFILE FOLDER

Each stage is a folder of FOLDER: its image's files are not there, and so a stage that is to be run must need none of
them. Steps that build (RUN) are run with the machine's own tools, in the stage's WORKDIR, and so must name no absolute
path. The last stage is run by its ENTRYPOINT and CMD, in its folder as the root (chroot), as its USER, who cannot write
but in its VOLUMEs, on a free port; its HEALTHCHECK and GET /readyz must tell that it is ready, it must end when it is
told to, and leave nothing behind.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from fnmatch import fnmatch


def instructions(text):
    """The instructions and what stands behind them, without comments, with continued lines in one."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def flags(rest):
    """The flags in front of an instruction's words, and the words."""
    given = {}
    while found := re.match(r"--([a-z-]+)=(\S+)\s*", rest):
        given[found[1]] = found[2]
        rest = rest[found.end():]
    return given, rest


class Stage:
    def __init__(self, root):
        self.root = root
        self.variables = {}
        self.workdir = "/"
        self.user = "0:0"
        self.volumes = []
        self.entrypoint = []
        self.command = []
        self.health = []
        self.port = 0
        root.mkdir(parents=True)
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)

    def at(self, path):
        """Where a path of the image is on this machine."""
        return self.root / os.path.normpath(os.path.join(self.workdir, path)).lstrip("/")

    def filled(self, text):
        return re.sub(r"\$\{(\w+)\}", lambda found: self.variables.get(found[1], ""), text)


def ignored(path, rules):
    """Whether .dockerignore leaves a path out: it, or a folder that it is in."""
    parts = path.parts
    for rule in rules:
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            if fnmatch(name, rule) or rule.startswith("**/") and fnmatch(parts[depth - 1], rule[3:]):
                return True
    return False


def copy(source, target, rules):
    """What COPY does: a folder's contents, or a file into a folder or under a name."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target / source.name if target.is_dir() else target)
        return
    for path in source.rglob("*"):
        inside = path.relative_to(source)
        if path.is_file() and not ignored(inside, rules):
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / inside)


def build(dockerfile, folder):
    """Does all steps; returns the last stage."""
    context = dockerfile.parent
    rules = [line for line in (context / ".dockerignore").read_text().split("\n") if line and not line.startswith("#")]
    stages = {}
    stage = None
    for word, rest in instructions(dockerfile.read_text()):
        print(f"{word} {rest}", flush=True)
        given, words = flags(rest)
        match word:
            case "FROM":
                name = words.split()[-1] if " AS " in words else str(len(stages))
                stage = stages[name] = Stage(folder / name)
            case "ARG" | "ENV":
                name, _, value = words.partition("=")
                stage.variables[name] = value.strip('"')
            case "WORKDIR":
                stage.workdir = words
                stage.at(".").mkdir(parents=True, exist_ok=True)
            case "COPY":
                *sources, target = words.split()
                if target.endswith("/") or target == ".":
                    stage.at(target).mkdir(parents=True, exist_ok=True)
                for source in sources:
                    if "from" in given:
                        copy(stages[given["from"]].at(source), stage.at(target), [])
                    else:
                        copy(context / source, stage.at(target), rules)
            case "RUN":
                subprocess.run(["/bin/sh", "-c", words], cwd=stage.at("."), env=os.environ | stage.variables, check=True)
            case "USER":
                stage.user = words
            case "VOLUME":
                stage.volumes = json.loads(words)
            case "EXPOSE":
                stage.port = int(words)
            case "HEALTHCHECK":
                stage.health = json.loads(words.removeprefix("CMD "))
            case "ENTRYPOINT":
                stage.entrypoint = json.loads(words)
            case "CMD":
                stage.command = json.loads(words)
            case "LABEL":
                for label in shlex.split(stage.filled(words)):
                    if not label.partition("=")[2]:
                        sys.exit(f"the label {label} is empty")
            case _:
                sys.exit(f"steps.py does not know {word}")
    return stage


def inside(stage, arguments, environment, **more):
    """Starts a program of the image as the image's user."""
    user, group = (int(part) for part in stage.user.split(":"))
    if user == 0:
        sys.exit("the image's user is root")

    def enter():
        os.chroot(stage.root)
        os.chdir(stage.workdir)
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)

    # The program is looked for when the root has been changed.
    return subprocess.Popen(arguments, env=environment, preexec_fn=enter, **more)


def run(stage):
    """Has the image run, and asks it."""
    for path in [stage.root, *stage.root.rglob("*")]:
        if path != stage.root / "tmp":
            path.chmod(path.stat().st_mode & ~0o022)
    if str(stage.port) not in " ".join(stage.command):
        sys.exit(f"EXPOSE {stage.port} is not where CMD listens: {stage.command}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    # The port of CMD may be taken here: the setting stands for --publish.
    environment = stage.variables | {"PINVAULT_PORT": str(port), "PINVAULT_HEALTHCHECK_URL": url}
    server = inside(stage, stage.entrypoint + stage.command, environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        ready = json.loads(server.stdout.readline())
        if not ready["ready"]:
            sys.exit(f"not ready: {ready}")
        if inside(stage, stage.health, environment).wait(timeout=30) != 0:
            sys.exit("HEALTHCHECK fails")
        for path in ("/readyz", "/sandbox/fixtures"):
            with urllib.request.urlopen(url + path, timeout=10) as reply:
                print(f"GET {path}: {reply.status}")
        space = urllib.request.Request(url + "/sandbox/spaces", data=b"{}", headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(space, timeout=30) as reply:
            print(f"POST /sandbox/spaces: {reply.status}")
        server.send_signal(signal.SIGTERM)
        if server.wait(timeout=30) != 0:
            sys.exit(f"it ended with {server.returncode}")
    finally:
        server.kill()
        server.wait()
    if inside(stage, stage.health, environment, stderr=subprocess.DEVNULL).wait(timeout=30) == 0:
        sys.exit("HEALTHCHECK does not notice that the server is gone")
    for volume in stage.volumes:
        if left := list(stage.at(volume).iterdir()):
            sys.exit(f"left behind: {left}")


def main():
    dockerfile, folder = (pathlib.Path(path).resolve() for path in sys.argv[1:])
    if os.geteuid() != 0:
        sys.exit("steps.py changes the root and the user, which only root may")
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    stage = build(dockerfile, folder)
    run(stage)
    print(f"{dockerfile.name}: built and run in {time.monotonic() - began:.0f} s")


main()
