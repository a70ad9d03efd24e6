# What a spec's outputs know as `cognix`: derivations of one's own, and what overrides are made of.
#
# All of it is the language and `derivation`, so a real Nix makes the same derivations of it. `packages` are the Python
# packages of the lock by name, or null while there is none: then a package's version is not known, and what depends on
# it fails when somebody asks for it.
{ platform, python, packages, root }:

let
  inherit (builtins)
    attrNames concatLists concatMap elem filter foldl' head isAttrs isFunction isList isString length listToAttrs map
    mapAttrs match removeAttrs tail toJSON;

  isDerivation = value: isAttrs value && value.type or null == "derivation";
  kindOf = value: if isAttrs value then value.kind or null else null;
  concatStrings = foldl' (all: one: all + one) "";
  last = list: if length list == 1 then head list else last (tail list);
  # The file's name in an address: what follows the last slash, without a query.
  fileName = url: head (builtins.split "[?#]" (last (filter isString (builtins.split "/" url))));
  # The same without what a store path cannot be called.
  storeName = name: builtins.replaceStrings [ "!" "%" "~" "@" "," ":" ] [ "_" "_" "_" "_" "_" "_" ] name;
  optional = name: value: if value == null then { } else { ${name} = value; };

  debianArchitecture = {
    "linux/amd64" = "amd64";
    "linux/arm64" = "arm64";
  }.${platform};

  # An output whose path follows from its content.
  floating = attributes: derivation ({
    __contentAddressed = true;
    outputHashAlgo = "sha256";
    outputHashMode = "recursive";
  } // attributes);

  # What cognix builds itself, without running a program.
  builtin = attributes: floating ({ system = "builtin"; } // attributes);

  # Attributes of the set that no builder gets to know.
  passing = passed: made: made // passed;

  # A root's parts, as a sandbox takes them: trees, with what their modes are where that is known.
  rootParts = part:
    if isDerivation part then
      [ ({ tree = "${part}"; } // (if elem "control" (part.outputs or [ ]) then { control = "${part.control}"; } else { })) ]
    else if isList part then concatMap rootParts part
    else if isAttrs part && (part ? tree || part ? changes) then [ part ]
    else throw "cognix.mkDerivation: expected derivations in `roots`, or `cognix.root`";

  shaOf = { sha256 ? null, hash ? null, ... }:
    if hash != null then hash
    else if sha256 != null then sha256
    else throw "cognix.fetchurl: give the file's `sha256` or `hash`";

  sourceOf = what: { src ? null, url ? null, ... }@arguments:
    if src != null then src
    else if url != null then cognix.fetchurl (removeAttrs arguments (filter (name: !elem name [ "url" "sha256" "hash" ]) (attrNames arguments)))
    else throw "${what}: give a `url` with its `sha256`, or a `src`";

  cognix = {
    inherit platform python;

    # The image's machine as Nix calls it: `x86_64-linux` or `aarch64-linux`.
    system = {
      "linux/amd64" = "x86_64-linux";
      "linux/arm64" = "aarch64-linux";
    }.${platform};

    # One file, fetched and checked against its `sha256` (or `hash`, in Nix's own spelling). Addresses may be relative to an
    # input, as in `mirror://pypi/PROJECT/FILE`.
    fetchurl = { url, sha256 ? null, hash ? null, name ? storeName (fileName url), executable ? false, size ? null }@arguments:
      passing { destination = "/opt/${name}"; } (derivation ({
        inherit executable name url;
        builder = "builtin:fetchurl";
        impureEnvVars = "http_proxy https_proxy ftp_proxy all_proxy no_proxy";
        outputHash = shaOf arguments;
        outputHashAlgo = "sha256";
        outputHashMode = if executable then "recursive" else "flat";
        preferLocalBuild = true;
        system = "builtin";
        unpack = false;
        urls = url;
      } // optional "size" size));

    # One Debian package's files, from an address with its `sha256` or from another derivation (`src`). Comes to `/`.
    deb = { name, version, architecture ? debianArchitecture, url ? null, sha256 ? null, hash ? null, src ? null }@arguments:
      passing { destination = "/"; } (builtin {
        inherit architecture version;
        name = "${name}-${storeName version}";
        package = name;
        builder = "builtin:cognix-deb-1";
        deb = sourceOf "cognix.deb" arguments;
        outputs = [ "out" "control" ];
      });

    # One wheel, installed for the image's Python, from an address with its `sha256` or from another derivation (`src`). Comes
    # into the image's virtual environment; in `overrides` it takes the place of the package.
    wheel = { filename ? fileName url, url ? null, sha256 ? null, hash ? null, src ? null }@arguments:
      let
        # NAME-VERSION-…: neither part holds a dash.
        parts = match "([^-]+)-([^-]+)-.*[.]whl" filename;
        name = if parts == null then throw "cognix.wheel: ${filename} is not the name of a wheel" else head parts;
        version = head (tail parts);
      in
      passing ({ inherit version; destination = "/"; } // (if src == null then { wheel = { inherit url; sha256 = shaOf arguments; }; } else { })) (builtin {
        inherit filename python;
        name = "${name}-${storeName version}";
        builder = "builtin:cognix-wheel-1";
        wheel = sourceOf "cognix.wheel" arguments;
      });

    # What the image's Debian packages and their configuration make, for `roots`: with `build.system_packages: [gcc]`, a
    # script can compile. Known once the image is locked.
    root = root;

    # What a shell script makes of its inputs, in a sandbox without a network. Its root is made of the derivations in `roots`,
    # later ones above earlier ones, and is that of the image's Debian packages unless something else is said. The script
    # writes `$out`; any other attribute is a variable of its environment. Comes to `/opt/NAME`.
    mkDerivation = { name, script, src ? null, roots ? cognix.root, destination ? "/opt/${name}", ... }@arguments:
      passing { inherit destination; } (floating ({
        inherit name;
        inherit (cognix) system;
        PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        args = [ "-euc" script ];
        builder = "/bin/sh";
        sandbox = toJSON { version = 1; root = concatMap rootParts roots; };
      } // removeAttrs arguments [ "destination" "roots" "script" ] // optional "src" src));

    # torch, built from source for GPUs that no wheel of it serves: `gpuArchs` are their compute capabilities. For `overrides`.
    torch.fromSource = { version, gpuArchs }: { kind = "torch-source"; inherit version gpuArchs; };
  };

  # A file of the lock.
  lockedFile = locked: derivation ({
    name = locked.fetchName;
    inherit (locked) url;
    builder = "builtin:fetchurl";
    executable = false;
    impureEnvVars = "http_proxy https_proxy ftp_proxy all_proxy no_proxy";
    outputHash = locked.hash;
    outputHashAlgo = "sha256";
    outputHashMode = "flat";
    preferLocalBuild = true;
    system = "builtin";
    unpack = false;
    urls = locked.url;
  } // optional "size" locked.size);

  # What the build of a package that comes as source is made with. What it needs is the context of the sandbox's plan.
  lockedBuild = build: build.environment // {
    inherit (build) name args;
    sandbox = builtins.substring 0 0 (concatStrings build.inputs) + build.environment.sandbox;
  };

  # The derivation of a locked package, as it is without an override.
  lockedWheel = locked: builtin ({
    name = locked.treeName;
    inherit python;
    inherit (locked) filename;
    builder = "builtin:cognix-wheel-1";
    wheel = if locked.build == null then lockedFile locked else floating (lockedBuild locked.build);
  } // (if locked.waived then { record = "waived"; } else { }));

  # A Python package of the image. `pinned` is what overrides asked of it before locking, `changes` are functions from
  # the derivation's attributes to those that replace them.
  package = { name, pinned ? { }, changes ? [ ] }:
    let
      locked =
        if packages == null then throw "what ${name} is made of is known once it is locked"
        else packages.${name} or (throw "the image has no Python package ${name}; the lock knows those that its requirements need");
      # Of what is built from source, the build is changed, and the wheel that comes of it is installed as any other.
      isBuilt = locked.build != null;
      first = if isBuilt then floating (lockedBuild locked.build) else lockedWheel locked;
      changed = foldl' (old: change: floating (old.drvAttrs // change old.drvAttrs)) first changes;
      installed = if isBuilt && changes != [ ] then floating ((lockedWheel locked).drvAttrs // { wheel = changed; }) else if isBuilt then lockedWheel locked else changed;
    in
    {
      kind = "python-package";
      type = "derivation";
      pname = name;
      version = pinned.version or locked.version;
      inherit pinned;
      isChanged = changes != [ ];
      inherit (installed) drvPath outPath;
      inherit (changed) drvAttrs;
      outputName = "out";
      override = more:
        let given = if isFunction more then more pinned else more; in
        package { inherit name changes; pinned = pinned // given; };
      overrideAttrs = change: package { inherit name pinned; changes = changes ++ [ change ]; };
      destination = "/";
    };

  # The packages that overlays name. Only their names are asked for, so an overlay's attributes may depend on others, but
  # not which attributes it has.
  namesOf = overlays: concatMap (overlay: attrNames (overlay { } { })) overlays;

  packageSet = overlays:
    let
      known = if packages == null then [ ] else attrNames packages;
      base = listToAttrs (map (name: { inherit name; value = package { inherit name; }; }) (known ++ namesOf overlays));
      final = foldl' (prev: overlay: prev // overlay final prev) base overlays;
    in
    final;

  # What an override comes to: a version, a wheel at an address, torch from source, a derivation.
  overridden = overlays:
    let
      final = packageSet overlays;
      names = namesOf overlays;
      one = name:
        let value = final.${name}; in
        if match "[a-z0-9]+(-[a-z0-9]+)*" name == null then
          throw "overrides.${name}: write the package's name in lower-case letters and digits, with single dashes"
        else if kindOf value == "python-package" then {
          inherit (value) pinned isChanged;
          derivation = value;
        }
        else if kindOf value == "torch-source" then
          (if name == "torch" then { torch = { inherit (value) version gpuArchs; }; }
          else throw "overrides.${name}: only torch can be built by cognix.torch.fromSource")
        else if isDerivation value then {
          pinned = if value ? wheel.url then value.wheel
            else { version = value.version or (throw "overrides.${name}: the derivation must say its `version`, which decides what it needs"); };
          isChanged = !(value ? wheel.url);
          derivation = value;
        }
        else throw "overrides.${name}: expected a package, as in prev.${name}.override { version = \"…\"; }, or a derivation";
    in
    listToAttrs (map (name: { inherit name; value = one name; }) names);

  # Derivations with their places in the image.
  placed = entry:
    if isDerivation entry then { package = entry; destination = entry.destination or "/opt/${entry.name}"; name = entry.pname or entry.name; }
    else if isAttrs entry && isDerivation (entry.package or null) then {
      destination = entry.package.destination or "/opt/${entry.package.name}";
      name = entry.package.pname or entry.package.name;
    } // entry
    else throw "extraPackages: expected derivations, or sets { package; destination; }";
  # An input as outputs see it: a file is the derivation that fetches it.
  source = input:
    if input.type == "url" && input ? url then
      cognix.fetchurl {
        inherit (input) url;
        hash = input.hash or (throw "the hash of inputs.${input.name} is known once it is locked; run `cognix lock`, or write its sha256");
      }
    else input;

  # The outputs, and what they see of themselves. `taken` has the names of a function that takes no others.
  apply = { function, inputs, taken }:
    let
      sources = mapAttrs (name: source) inputs;
      given = { inherit self cognix; } // sources;
      outputs = function (if taken == null then given else builtins.intersectAttrs taken given);
      self = outputs // { inherit outputs; inputs = sources; };
    in
    { inherit outputs self; };
in
{
  inherit apply cognix overridden placed;
}
