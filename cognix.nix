# The default spec of cognix.
#
# The program carries this file. A model needs none of its own; a `cognix.nix` beside its `cog.yaml` extends this one: what
# it names replaces or adds to what stands here, key by key, and the rest stays. Its `outputs` take the place of those
# below. For example, a model with two images, one of them with another numpy:
#
#     {
#       outputs = { self, cognix, ... }: {
#         images.default = { };
#         images.pinned-numpy.overrides = final: prev: {
#           numpy = prev.numpy.override { version = "1.26.4"; };
#         };
#       };
#     }
#
# The language is Nix without anything that differs between machines. docs/spec.md lists every key, docs/language.md the
# functions; `cognix spec check` looks for mistakes, `cognix spec show` shows what a spec makes.
{
  description = "Cog models as bit-reproducible OCI images";

  # Package sources, by the names that stand in a lock (`mirror://pypi/…`). They have no addresses here: without `url`,
  # the machine's own settings decide (pip's index, apt's sources). Only a type says how a source is read.
  inputs = {
    # The machine's own Python indexes. Further ones are asked before them, in the order written, and the first that knows
    # a name supplies it. One with a list of packages is asked for these alone, and they come from nowhere else:
    #
    #     inputs.company = { type = "pypi"; url = "https://HOST/simple"; packages = [ "our-models" ]; };
    #
    # Torch's indexes are below `pytorch`, an input that is always there.
    pypi.type = "pypi";

    # An archive that is not signed with Debian's own keys names its keys: `keys = [ ./archive-key.gpg ];`. Those keys, and
    # no others, may then sign for it. Of all suites an image uses those of its release (bookworm for Python 3.11, trixie
    # for the others) and those whose names say no release. Components are read per input; `non-free` and `contrib` are
    # Debian's other ones. An archive of the past is pinned by the hash of its release files, which then may have expired:
    # `releases.bookworm = "SHA-256 of dists/bookworm/InRelease";`.
    debian = {
      type = "debian";
      suites = [ "bookworm" "bookworm-updates" "trixie" "trixie-updates" ];
      components = [ "main" ];
    };

    debian-security = {
      type = "debian";
      suites = [ "bookworm-security" "trixie-security" ];
      components = [ "main" ];
    };

    # Interpreters that Debian does not ship: Python 3.10, 3.12 and 3.14. The program knows an archive for each by its
    # digest; one of your own takes its place, also that of Debian's Python:
    #
    #     archives = [ { platform = "linux/amd64"; version = "3.12.4"; path = "FOLDER/FILE.tar.gz"; sha256 = "…"; } ];
    python-build-standalone.type = "url";
  };

  # What images are built for: "linux/amd64", "linux/arm64".
  platforms = [ "linux/amd64" ];

  # Debian packages below every model, apart from the interpreter.
  base = {
    # How much of a Debian system is there: "essential" is everything that Debian marks `Essential: yes`, a shell and the
    # usual tools among them; "shell" is `sh`, `ls`, `grep`, `sed`, `tar` and their like, without a package manager;
    # "minimal" has no shell, only what the interpreter, TLS, time zones and names need. Debian's packages expect essential
    # ones without naming them, so what `system_packages` adds to a smaller tier may miss a shell or `dpkg`.
    tier = "essential";
    # `mawk` and `usr-is-merged` settle alternatives that essential packages leave open; wheels expect the libraries.
    packages = [
      "ca-certificates" "mawk" "netbase" "tini" "tzdata" "usr-is-merged"
      "libgcc-s1" "libgomp1" "libstdc++6" "zlib1g"
    ];
    # Whether packages that are only recommended come along, as with `apt-get --install-recommends`.
    recommends = false;
  };

  # How an image is cut into layers, and how their bytes are made. The recipes are recorded in the lock.
  layers = {
    budget = 100;
    # Where there are more packages than layers: the largest alone, the others in sixteen groups by their names, and
    # nothing moves that was locked before.
    grouping = "largest-alone-16-by-name-1";
    recipes = {
      tree = "gzip-libdeflate-1.26-6-1m";
      wheel = "gzip-wheel-splice-1";
    };
  };

  # Whether the image holds Python's bytecode, made in a sandbox by the image's own Python, so that nothing is compiled when
  # a container starts.
  bytecode = true;

  # What is made of all this. `self` is what stands here, so that images can extend each other (`self.images.default // {
  # … }`); `cognix` makes derivations; inputs are there by their names. `packages.NAME` would be derivations of one's own,
  # `overrides = final: prev: { … }` other Python packages for every image.
  outputs = { self, cognix, ... }: {
    # One image, as `cog.yaml` describes it. Whatever a set here says goes before `cog.yaml` and the settings above.
    images.default = { };
  };
}
