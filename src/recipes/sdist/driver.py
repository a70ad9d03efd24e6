# Builds a wheel from a source archive with the archive's own build backend (PEP 517), or asks the backend what it needs.
# Everything it is told stands in the environment; see the recipe.
import csv, importlib, importlib.metadata, io, json, os, re, shutil, stat, subprocess, sys, tarfile, zipfile

TOP = "/build/source"


def fail(message):
    sys.stdout.flush()
    sys.exit("cognix: " + message)


def inside(name):
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\0" in name:
        fail("the archive has a member %r, which leads out of it" % name)
    return os.path.join(TOP, name)


def copy(path, target):
    # A tree of a store is read-only, and what is built may want to write into it.
    os.mkdir(target)
    for entry in os.scandir(path):
        place = os.path.join(target, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
        elif entry.is_dir():
            copy(entry.path, place)
        else:
            shutil.copyfile(entry.path, place)
            os.chmod(place, 0o755 if entry.stat().st_mode & 0o111 else 0o644)


def checkout(path):
    copy(path, TOP)
    folder = os.path.join(TOP, os.environ["subdirectory"])
    if not os.path.isdir(folder):
        fail("the repository has no folder %s" % os.environ["subdirectory"])
    for place in {TOP, folder}:
        say_version(place)
    return folder


def say_version(folder):
    # Tools that make versions of tags read these where there is no repository, as in an archive of one.
    commit, date, describe = (os.environ[key] for key in ["commit", "commitDate", "describe"])
    if not date:
        return
    tag, distance = (describe.rsplit("-", 2) + ["", ""])[:2]
    refs = "tag: " + tag if describe and distance == "0" else ""
    text = "node: %s\nnode-date: %s\n" % (commit, date)
    if describe:
        text += "describe-name: %s\n" % describe
    text += "ref-names: %s\n" % refs
    described = {"hash-full": commit, "hash-short": commit[:7], "timestamp": date, "refs": refs, "describe": describe}
    for name, text in [(".git_archival.txt", text), (".git_archival.json", json.dumps(described))]:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    numbers = re.fullmatch(r"v?(\d+(?:\.\d+)*)", tag)
    if numbers:
        version = [int(part) for part in numbers.group(1).split(".")]
        if distance != "0":
            version = (version + [0, 0])[:max(3, len(version))]
            version[-1] += 1
        suffix = "" if distance == "0" else ".dev" + distance
        os.environ["PBR_VERSION"] = ".".join(map(str, version)) + suffix


def unpack(path, filename):
    if os.path.isdir(path):
        return checkout(path)
    os.makedirs(TOP)
    if filename.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                inside(member.filename)
                target = archive.extract(member, TOP)
                if member.external_attr >> 16 & 0o111 and os.path.isfile(target):
                    os.chmod(target, 0o755)
    else:
        if filename.lower().endswith(".tar.zst"):
            fail("archives of the kind .tar.zst cannot be unpacked by this Python; use a .tar.gz")
        with tarfile.open(path) as archive:
            for member in archive:
                target = inside(member.name)
                parent = os.path.realpath(os.path.dirname(target))
                if parent != TOP and not parent.startswith(TOP + "/"):
                    fail("the archive has a member %r below a link that leads out of it" % member.name)
                if member.isdir() or member.isreg():
                    member.mode = 0o755 if member.isdir() or member.mode & 0o111 else 0o644
                elif not member.issym() and not member.islnk():
                    fail("the archive has a member %r that is no file, folder or link" % member.name)
                member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
                archive.extract(member, TOP, numeric_owner=True)
    names = os.listdir(TOP)
    if len(names) == 1 and os.path.isdir(os.path.join(TOP, names[0])):
        return os.path.join(TOP, names[0])
    return TOP


def patch():
    for path in os.environ.get("patches", "").split():
        print("applying", path, flush=True)
        done = subprocess.run(["patch", "--batch", "--strip=1", "--input", path])
        if done.returncode != 0:
            fail("%s does not apply" % path)


def settings():
    return json.loads(os.environ.get("configSettings") or "null")


def backend():
    spelled = os.environ["backend"]
    for place in reversed(json.loads(os.environ["backendPath"])):
        sys.path.insert(0, os.path.normpath(os.path.join(os.getcwd(), place)))
    module, _, path = spelled.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        fail("the build backend %s cannot be imported: %s" % (spelled, error))
    for name in filter(None, path.split(".")):
        found = getattr(found, name)
    return found


def name_of(requirement):
    return re.match(r"[A-Za-z0-9._-]*", requirement.strip()).group()


def is_there(requirement):
    try:
        importlib.metadata.distribution(name_of(requirement))
        return True
    except importlib.metadata.PackageNotFoundError:
        return False


def wheel_of(hooks):
    os.makedirs("/build/wheel")
    name = hooks.build_wheel("/build/wheel", settings(), None)
    return os.path.join("/build/wheel", name)


def metadata_of(hooks):
    prepare = getattr(hooks, "prepare_metadata_for_build_wheel", None)
    if prepare is not None:
        os.makedirs("/build/metadata")
        folder = os.path.join("/build/metadata", prepare("/build/metadata", None))
        with open(os.path.join(folder, "METADATA"), encoding="utf-8", newline="") as file:
            return file.read()
    with zipfile.ZipFile(wheel_of(hooks)) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"[^/]+\.dist-info/METADATA", name):
                return archive.read(name).decode("utf-8")
    fail("the backend made a wheel without METADATA")


def ask(hooks):
    requires = getattr(hooks, "get_requires_for_build_wheel", lambda settings: [])(None)
    answer = {"requires": sorted(set(map(str, requires))), "metadata": None}
    if os.environ["metadata"] and (os.environ["complete"] or all(map(is_there, requires))):
        answer["metadata"] = metadata_of(hooks)
    with open(os.environ["out"], "w", encoding="utf-8") as file:
        json.dump(answer, file, sort_keys=True)
        file.write("\n")


def sorted_record(text):
    rows = sorted(csv.reader(io.StringIO(text)))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def is_record(name):
    return re.fullmatch(r"[^/]+\.dist-info/RECORD", name) is not None


def rewrite(path, out):
    # One form, whatever the backend does: metadata last, RECORD last of all, as readers of wheels like it.
    def place(member):
        name = member.filename
        return is_record(name), name.split("/")[0].endswith(".dist-info"), name

    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        members = [member for member in old.infolist() if not member.is_dir()]
        for member in sorted(members, key=place):
            entry = zipfile.ZipInfo(member.filename, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            mode = 0o755 if member.external_attr >> 16 & 0o111 else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            data = old.read(member)
            if is_record(member.filename):
                data = sorted_record(data.decode("utf-8")).encode("utf-8")
            new.writestr(entry, data)


def main():
    if "" in sys.path:
        sys.path.remove("")
    for key, folder in [("HOME", "/build/home"), ("CARGO_HOME", "/build/cargo"), ("TMPDIR", "/build/tmp")]:
        os.makedirs(folder, exist_ok=True)
        os.environ[key] = folder
    cores = os.environ.get("NIX_BUILD_CORES", "1")
    for key in ["CMAKE_BUILD_PARALLEL_LEVEL", "MAX_JOBS"]:
        os.environ[key] = cores if cores != "0" else str(os.cpu_count() or 1)
    top = unpack(os.environ["archive"], os.environ["filename"])
    os.chdir(top)
    patch()
    hooks = backend()
    if os.environ["mode"] == "ask":
        return ask(hooks)
    wheel = wheel_of(hooks)
    rewrite(wheel, os.environ["out"])
    print("built", os.path.basename(wheel))


main()
