# A file that imports itself, but lazily.
{ depth = 0; again = import ./recursive.nix; }
