{ nested = import ./scoped.nix; }
