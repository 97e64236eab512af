"""Text to findings, without I/O.

- What is looked for: `rule`, written in the portable patterns of `pattern`; `catalogue` lists every rule there is.
- Where: `engine` locates rules in linear time; `prefilter`, `loose`, `waiting` and `flood` keep that cheap.
- What stands: `session` takes a text piece by piece, `candidates` brings the heads in order, `resolver` decides which are
  findings, with `context` and `treatment`; `written` is what has been let out.
- What else a text says: `normalise` reads it in other ways, with `view` and `decodings`; `classifier` scores sentences.
- Together: `injection` for what comes in; `leak`, `markup`, `invisible` and `names` beside the rules for what goes out.

All of them speak as a `detector`: findings, and edits that `core.sanitizer` writes out.
"""
