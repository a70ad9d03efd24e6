# Builds in a second; every derivation shows another way in which a realisation id comes about.
let
  sh = name: script: attrs: derivation ({
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-c" script ];
  } // attrs);
  ca = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  hello = { outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; };
in rec {
  source = builtins.toFile "source.txt" "source\n";
  fixed = sh "fixed" "echo -n hello > $out" hello;
  fixedOtherRecipe = sh "fixed" "echo -n hel > $out; echo -n lo >> $out" hello;
  fixedSha1 = sh "fixed-sha1" "echo -n hello > $out" { outputHashMode = "flat"; outputHashAlgo = "sha1"; outputHash = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"; };
  plain = sh "plain" "echo plain > $out" { };
  plainTwo = sh "plain-two" "echo 1 > $out; echo 2 > $dev" { outputs = [ "out" "dev" ]; inherit plain fixed; };
  a = sh "a" "echo a > $out" ca;
  aAgain = sh "a" "echo a > $out; : again" ca;
  b = sh "b" "echo b > $out; echo b-dev > $dev" (ca // { outputs = [ "out" "dev" ]; inherit a; });
  bAgain = sh "b" "echo b > $out; echo b-dev > $dev" (ca // { outputs = [ "out" "dev" ]; a = aAgain; });
  c = sh "c" "echo ${b.dev} ${b} > $out" (ca // { inherit fixed source; });
  d = sh "d" "echo d > $out" (ca // { one = fixed; two = fixedOtherRecipe; three = fixedSha1; inherit plainTwo; dev = plainTwo.dev; });
  e = sh "e" "echo e > $out" (ca // { inherit a aAgain b; bDev = bAgain.dev; inherit c d; });
  f = sh "f" "echo f > $out; echo > $doc" { outputs = [ "doc" "out" ]; inherit e plain; };
  g = sh "g" "echo g > $out" (ca // { inherit f; });
  flat = sh "flat" "echo flat > $out" (ca // { outputHashMode = "flat"; inherit g; });
  sha512 = sh "sha512" "echo sha512 > $out" (ca // { outputHashAlgo = "sha512"; inherit a; });
  top = sh "top" "echo top > $out" (ca // { inherit flat sha512 g fixed; });
}
