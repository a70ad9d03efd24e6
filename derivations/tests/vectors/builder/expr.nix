# What cognix makes through its own builder, as a plain expression. Nothing here is built.
let
  builtin = name: number: attrs: derivation ({
    inherit name;
    system = "builtin";
    builder = "builtin:cognix-${number}";
  } // attrs);
  floating = {
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    __contentAddressed = true;
  };
in rec {
  fetch = derivation {
    name = "numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.whl";
    system = "builtin";
    builder = "builtin:fetchurl";
    url = "mirror://pypi/numpy/numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.whl";
    outputHash = "sha256-uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DUDj+rOLrAzL8=";
    outputHashAlgo = "sha256";
    outputHashMode = "flat";
  };
  wheel = builtin "numpy-2.1.0" "wheel-1" (floating // {
    wheel = fetch;
    filename = "numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.whl";
    python = "3.11";
  });
  deb = builtin "libc6" "deb-1" (floating // {
    outputs = [ "out" "control" ];
    package = "libc6";
    version = "2.36-9+deb12u13";
    architecture = "amd64";
  });
  image = builtin "image" "image-1" (floating // {
    layers = builtins.toJSON [ "${wheel}" "${deb}" "${deb.control}" ];
    config = "{\"cmd\":[\"python\",\"-m\",\"cog.server.http\"],\"note\":\"tab\tquote\\\"\n\"}";
    args = [ "--one" "two words" ];
  });
  source = builtin "source" "source-layer-1" (floating // {
    tree = builtins.toFile "predict.py" "class Predictor: pass\n";
  });
  plain = derivation {
    name = "plain";
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-c" ": > $out" ];
  };
  onPlain = derivation {
    name = "on-plain";
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-c" ": > $out" ];
    outputs = [ "out" "dev" ];
    inherit plain fetch;
  };
  onFloating = derivation {
    name = "on-floating";
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-c" ": > $out" ];
    inherit wheel;
  };
}
