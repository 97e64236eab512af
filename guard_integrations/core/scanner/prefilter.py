r"""What every match of a rule holds and few other texts do: its *sign*, looked for in the rule's stead.

Rules against injections let words stand between words. Many of them in one set multiply: its states outgrow any memory
(1.4 MB/s), and sets of a dozen take seven passes. A sign has no such gap: it is a stretch of the pattern whose every
character is one of a few. Signs go into one set, as the literals of RE2's `FilteredRE2` do, and ordinary text, which
holds none, is done after one pass a set. A rule whose sign is there is looked for by itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from guard_integrations.core.scanner.pattern import Pattern
from guard_integrations.core.scanner.rarity import likely
from guard_integrations.core.scanner.syntax import Alternatives, Characters, Edge, Node, Repeat, Sequence, parse

__all__ = ["Kind", "is_broad", "signs"]

Kind: TypeAlias = Literal["word", "inside", "foreign"]
"""Where a sign begins: with a word, anywhere, or nowhere in a text of ASCII alone. Kinds do not go into one set: inside
a word, what could begin there multiplies with what has begun before it (22 MB/s on unseen text; apart, 139 and 49)."""

_Parted: TypeAlias = tuple[Node | None, Node | None]
"""The texts of a node that have no gap, and what the others begin with; None where there are no such texts."""

_EMPTY: Final = Sequence(())
_SPACE: Final = parse(r"\s")
_FEW: Final = 8
"""Characters that one of a sign may be, and times that it may be repeated."""
_RARE: Final = 1e-7
"""A sign that begins with a word and is as rare as that needs no rarer one."""
_FOLDED: Final = ((0, 0x7F), (0x17F, 0x17F), (0x212A, 0x212A))
"""ASCII, and what is one with `s` and `k` where case does not matter."""


@lru_cache(maxsize=1024)
def signs(pattern: Pattern) -> Mapping[Kind, str]:
    """The patterns, in RE2's syntax, one of which is in every text that the pattern matches in.

    Kept, since most rules run at several stages, and each stage makes its own sets.
    """
    found: dict[Kind, list[Node]] = {}
    for node in _branches(_sign(pattern.root)):
        found.setdefault(_kind(node), []).append(node)
    return {kind: Pattern("", _either(nodes), ignore_case=pattern.ignore_case).re2 for kind, nodes in found.items()}


def _sign(node: Node) -> Node:
    match node:
        case Sequence(items):
            return _rarest(items)
        case Alternatives(branches):
            return _either(map(_sign, branches))
        case Repeat(item, low, _) if not isinstance(item, Characters):
            return _sign(item) if low else _EMPTY
        case _:
            return _rarest((node,))


def _rarest(items: tuple[Node, ...]) -> Node:
    """The first stretch of a sequence that begins with a word and is rare, else the rarest of all."""
    parted = [_parted(item) for item in items]
    best: Node = _EMPTY
    least = 1.0
    for at, item in enumerate(items):
        if at and isinstance(items[at - 1], Characters):
            continue  # a stretch with more before it is as rare, or rarer
        # What stands inside an item without a gap is in the stretch that begins there.
        inside = [_sign(item)] if parted[at][1] is not None and not _is_repeated(item) else []
        for one in (_whole_or_cut(_joined(parted[at:])), *inside):
            chance = likely(one)
            if chance < _RARE and _kind(one) == "word":
                return one
            if chance < least:
                best, least = one, chance
    return best


def _whole_or_cut(parted: _Parted) -> Node:
    return _either(node for node in parted if node is not None)


def _parted(node: Node) -> _Parted:
    match node:
        case Repeat(item, low, high) if isinstance(item, Characters):
            gap = is_broad(item) or high is None or high > _FEW
            return (None, Repeat(item, min(low, _FEW), min(low, _FEW))) if gap else (node, None)
        case Repeat(item, low, _):
            whole, cut = _parted(item)
            if cut is None:
                return node, None
            return None, _EMPTY if not low else cut if whole is None else Alternatives((whole, cut))
        case Alternatives(branches):
            parted = [_parted(branch) for branch in branches]
            wholes = [whole for whole, _ in parted if whole is not None]
            cuts = [cut for _, cut in parted if cut is not None]
            return _either(wholes) if wholes else None, _either(cuts) if cuts else None
        case Sequence(items):
            return _joined(map(_parted, items))
        case _:
            return node, None


def _joined(parted: Iterable[_Parted]) -> _Parted:
    before: list[Node] = []
    ends: list[Node] = []
    for whole, cut in parted:
        if cut is not None:
            ends.append(Sequence((*before, cut)))
        if whole is None:
            return None, _either(ends)
        before.append(whole)
    return Sequence(tuple(before)), _either(ends) if ends else None


def _is_repeated(node: Node) -> bool:
    return isinstance(node, Repeat) and isinstance(node.item, Characters)


def is_broad(characters: Characters) -> bool:
    """Whether these are so many characters that a repetition of them is a gap."""
    many = sum(high - low + 1 for low, high in characters.ranges) > _FEW
    return characters != _SPACE and (characters.negated or many)


def _either(nodes: Iterable[Node]) -> Node:
    each = tuple(dict.fromkeys(nodes))
    return each[0] if len(each) == 1 else Alternatives(each)


def _branches(node: Node) -> Iterator[Node]:
    match node:
        case Alternatives(branches):
            for branch in branches:
                yield from _branches(branch)
        case Sequence((Edge() as edge, inner)):
            for branch in _branches(inner):
                yield Sequence((edge, branch))
        case Sequence((inner,)):
            yield from _branches(inner)
        case _:
            yield node


def _kind(node: Node) -> Kind:
    return "foreign" if _is_foreign(node) else "word" if _begins_word(node) else "inside"


def _is_foreign(node: Node) -> bool:
    """Whether all texts of the node have a character beyond ASCII."""
    match node:
        case Characters(ranges, negated):
            return not negated and not any(
                low <= last and first <= high for low, high in ranges for first, last in _FOLDED
            )
        case Sequence(items):
            return any(map(_is_foreign, items))
        case Alternatives(branches):
            return all(map(_is_foreign, branches))
        case Repeat(item, low, _):
            return low > 0 and _is_foreign(item)
        case _:
            return False


def _begins_word(node: Node) -> bool:
    match node:
        case Edge(kind):
            return kind == "b"
        case Sequence(items):
            return bool(items) and _begins_word(items[0])
        case Alternatives(branches):
            return all(map(_begins_word, branches))
        case _:
            return False
