{
  here = ./.;
  up = ../.;
  file = ./value.nix;
  data = builtins.readFile ../../data.txt;
}
