# Places that the language tells.
{
  here = __curPos;
  nested.place = (x: __curPos) 1;
    set = builtins.unsafeGetAttrPos "here" { here = 1; };
}
