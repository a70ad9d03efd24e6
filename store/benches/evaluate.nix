# A graph of 10,000 derivations, built as large package sets are: each takes in up to four of those shortly before it;
# a tenth fetch a file whose digest is known, half are content-addressed, the others input-addressed, some with two outputs.
# The value depends on every path.
let
  inherit (builtins) bitAnd bitXor elemAt genList hashString toString;

  count = 10000;

  # A number below `limit` that follows from both others.
  pick = index: salt: limit:
    let mixed = bitAnd (bitXor (index * 40503) (salt * 30011 + index / 7)) 65535; in mixed - mixed / limit * limit;

  inputs = index:
    let reach = if index < 200 then index else 200; in
    if index == 0 then [ ]
    else genList (number: elemAt all (index - 1 - pick index (number + 1) reach)) (1 + pick index 0 4);

  source = index: derivation {
    name = "source-${toString index}.tar.gz";
    system = "builtin";
    builder = "builtin:fetchurl";
    url = "https://example.org/source-${toString index}.tar.gz";
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = hashString "sha256" "source ${toString index}";
    preferLocalBuild = true;
  };

  package = index: attributes:
    let version = "1.${toString (pick index 9 40)}"; in
    derivation ({
      name = "package-${toString index}-${version}";
      inherit version;
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-e" "-c" "./configure --prefix=$out && make && make install" ];
      buildInputs = inputs index;
      configureFlags = [ "--disable-static" "--with-number=${toString index}" ];
      CFLAGS = "-O2 -g -fstack-protector-strong";
      enableParallelBuilding = true;
    } // attributes);

  contentAddressed = {
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  };

  one = index:
    let kind = pick index 5 20; in
    if kind < 2 then source index
    else if kind < 12 then package index contentAddressed
    else if kind < 14 then package index { outputs = [ "out" "dev" ]; }
    else package index { };

  all = genList one count;
in
hashString "sha256" (toString (map (one: one.drvPath) all))
