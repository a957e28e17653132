"""Unsupervised learning: association rules, which things are bought together.

    rushlight run examples/association_rules.py [PICTURE.png]

The Apriori algorithm on tensors: a basket is a row of zeros and ones, so the support of all pairs
is one matrix product, and a set can be frequent only if all sets within it are.  The baskets are
made with three habits in them, which the rules must find.  The picture: how much oftener than by
chance two goods lie in one basket.
"""

import itertools
import sys

import torch

from rushlight.progress import track

GOODS = "bread butter milk coffee sugar beer crisps apples nappies cheese wine pasta".split()
HABITS = {("bread", "butter"): 0.35, ("coffee", "sugar", "milk"): 0.25, ("beer", "crisps"): 0.2}
SUPPORT, CONFIDENCE = 0.12, 0.55


def draw_baskets(count):
    baskets = torch.rand(count, len(GOODS)) < 0.12
    for goods, share in HABITS.items():
        has_habit = torch.rand(count) < share
        for good in goods:  # now and then one of them is forgotten
            baskets[:, GOODS.index(good)] |= has_habit & (torch.rand(count) < 0.9)
    return baskets.float()


def support(baskets, sets):
    """Share of the baskets that hold all of a set: (S, k) column numbers -> (S,)."""
    return baskets[:, sets].prod(dim=2).mean(dim=0)


def frequent_sets(baskets):
    found = {}
    sets = torch.arange(len(GOODS))[:, None]
    while len(sets) > 0:
        shares = support(baskets, sets)
        kept = {tuple(row): share for row, share in zip(sets.tolist(), shares.tolist())}
        kept = {row: share for row, share in kept.items() if share >= SUPPORT}
        found |= kept
        size = sets.shape[1]
        longer = {
            tuple(sorted({*a, *b}))
            for a, b in itertools.combinations(kept, 2)
            if len({*a, *b}) == size + 1
        }
        longer = [
            row for row in longer if all(r in kept for r in itertools.combinations(row, size))
        ]
        sets = torch.tensor(sorted(longer), dtype=torch.long)
    return found


def rules(found):
    """(if, then, confidence, lift), the surest first."""
    for goods, share in track(found.items()):
        for k in range(1, len(goods)):
            for left in itertools.combinations(goods, k):
                right = tuple(good for good in goods if good not in left)
                confidence = share / found[left]
                if confidence >= CONFIDENCE:
                    yield left, right, confidence, confidence / found[right]


def draw(pairs, path):
    from PIL import Image, ImageDraw  # noqa: PLC0415

    lift = pairs / (pairs.diag()[:, None] * pairs.diag()) - 1
    image = Image.new("RGB", (80 + 24 * len(GOODS), 24 * len(GOODS) + 80), "white")
    pen = ImageDraw.Draw(image)
    for row, good in enumerate(GOODS):
        pen.text((4, 24 * row + 4), good, "black", font_size=14)
        names = Image.new("RGB", (76, 24), "white")
        ImageDraw.Draw(names).text((2, 4), good, "black", font_size=14)
        image.paste(names.rotate(-90, expand=True), (80 + 24 * row, 24 * len(GOODS) + 2))
        for column in range(len(GOODS)):
            shade = int(255 - 220 * min(max(lift[row, column].item(), 0), 1) * (row != column))
            at = (80 + 24 * column, 24 * row)
            pen.rectangle([*at, at[0] + 22, at[1] + 22], (255, shade, shade))
    image.save(path)


def main():
    torch.manual_seed(0)
    baskets = draw_baskets(4000)
    pairs = baskets.t() @ baskets / len(baskets)  # all supports of two in one product
    found = frequent_sets(baskets)
    assert all(abs(pairs[s] - share) < 1e-5 for s, share in found.items() if len(s) == 2)
    named = {}
    for left, right, confidence, lift in sorted(rules(found), key=lambda rule: -rule[2]):
        words = (" and ".join(GOODS[good] for good in side) for side in (left, right))
        rule = "{} -> {}".format(*words)
        named[rule] = lift
        print(f"{rule} (confidence {confidence:.3f}, lift {lift:.2f})")
    together = {frozenset(GOODS[good] for good in goods) for goods in found if len(goods) > 1}
    habits = sum(frozenset(habit) in together for habit in HABITS)
    print(f"habits found of three: {habits:.1f}")
    print(f"least lift of a rule: {min(named.values()):.4f}")
    if len(sys.argv) > 1:
        draw(pairs, sys.argv[1])


if __name__ == "__main__":
    main()
