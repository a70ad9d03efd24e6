# Compiles Python files to bytecode that no time is compared with: `NAME.cpython-3X.pyc` in `__pycache__`. With `checked` in
# the environment Python compares it with the source's hash, otherwise with nothing.
#
# `sources` in the environment is a JSON list of {"from", "to", "prefix", "below", "omit"}: a wheel file or a folder, where it
# lies in a layer, what that layer lies in, the part of a folder that counts, and paths that are left alone. `out` becomes
# a tree with the bytecode at its places in the layer, `report` a text with a line for each file that has none, and why.
#
# Everything is compiled twice, by two processes; what differs is left out.
import importlib._bootstrap_external as external
import importlib.util
import json
import os
import sys
import zipfile


def wheel_files(path):
    """Where a wheel's files are installed, relative to site-packages; others are no modules."""
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            first, _, rest = name.partition("/")
            if first.endswith(".data"):
                scheme, _, name_below = rest.partition("/")
                if scheme in ("purelib", "platlib"):
                    yield name_below, wheel.read(name)
            else:
                yield name, wheel.read(name) if name.endswith(".py") else None


def tree_files(root, below):
    start = os.path.join(root, below) if below else root
    for folder, folders, names in os.walk(start):
        folders.sort()
        for name in names:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            if name.endswith(".py") and not os.path.islink(path):
                with open(path, "rb") as file:
                    yield relative, file.read()
            else:
                yield relative, None


def modules(source):
    """Every module of one source that has no bytecode yet: its path in the layer, its text."""
    if os.path.isdir(source["from"]):
        files = dict(tree_files(source["from"], source.get("below", "")))
    else:
        files = dict(wheel_files(source["from"]))
    omit = set(source.get("omit", ()))
    for relative in sorted(files):
        path = os.path.normpath(os.path.join("/", source.get("to", ""), relative))
        is_module = files[relative] is not None and relative.endswith(".py")
        if is_module and path[1:] not in omit and importlib.util.cache_from_source(relative) not in files:
            yield path, files[relative]


def bytecode_of(path):
    """Where the bytecode of a module is kept; not of an absolute path, for `/a.py` would become `__pycache__/…`."""
    return "/" + importlib.util.cache_from_source(path[1:])


def compile_all(sources, results):
    """One pass: a file of bytecode at each place below `results`, or the reason in a file beside it."""
    for source in sources:
        for path, text in modules(source):
            place = results + bytecode_of(path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shown = source.get("prefix", "") + path
            try:
                code = external.SourceFileLoader("<compile>", shown).source_to_code(text, shown)
                data = external._code_to_hash_pyc(code, importlib.util.source_hash(text), "checked" in os.environ)
            except Exception as error:
                place, data = place + ".failed", type(error).__name__.encode()
            with open(place, "wb") as file:
                file.write(data)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def main():
    sources = json.loads(os.environ["sources"])
    if "results" in os.environ:
        return compile_all(sources, os.environ["results"])
    passes = [os.path.join(os.getcwd(), name) for name in ("first", "second")]
    command = json.loads(os.environ["python"])
    arguments = [*command, "-c", sys.argv[1], sys.argv[1]]
    child = os.posix_spawn(command[0], arguments, {**os.environ, "results": passes[1]})
    compile_all(sources, passes[0])
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        sys.exit("compiling for the second time ended with status %d" % status)
    out = os.environ["out"]
    os.makedirs(out)
    compiled, left_out = 0, []
    for source in sources:
        for path, _ in modules(source):
            name = bytecode_of(path)
            first, second = [read(results + name) for results in passes]
            reason = read(passes[0] + name + ".failed")
            if first is None:
                left_out.append("%s: does not compile (%s)" % (path, (reason or b"no result").decode()))
            elif first != second:
                left_out.append("%s: compiling it twice gave different bytes" % path)
            else:
                compiled += 1
                os.makedirs(os.path.dirname(out + name), exist_ok=True)
                with open(out + name, "wb") as file:
                    file.write(first)
    with open(os.environ["report"], "w") as file:
        file.writelines(line + "\n" for line in left_out)
    print("compiled %d modules, left out %d" % (compiled, len(left_out)))
    for line in left_out:
        print(line)


main()
