# What `import ./lib` gives.
{
  add = a: b: a + b;
  name = "lib";
  inherit (import ./deep/value.nix) here;
}
