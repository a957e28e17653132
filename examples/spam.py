"""Supervised learning: is this message spam?

    rushlight run examples/spam.py [PICTURE.png]

Each message is a bag of word pieces, whose embeddings are averaged (`nn.EmbeddingBag`), and a
linear layer decides.  The messages are made from phrases, so that words appear in both classes.
The picture: the words that speak most for spam (red) and most against it (blue).
"""

import itertools
import random
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rushlight.progress import track

OPENINGS = "hello|hi there|dear friend|good morning|hey|dear customer|good evening".split("|")
HONEST = (
    "are we still meeting for lunch|the report is attached|thank you for your letter|"
    "the meeting moved to three|can you call me tonight|your order has been sent|"
    "the children are well|I will be late today|please read the second chapter|"
    "see you on the weekend|the money for rent is due|did you win the game"
).split("|")
SPAM = (
    "you have won a prize|claim your free money now|click here to win|cheap pills without a letter|"
    "your account will be closed click now|free offer only today|a prince needs your help|"
    "lose weight without work|double your money tonight|call now and win a free phone|"
    "limited offer read now|congratulations dear winner"
).split("|")
PIECES = 4096


def message(spam):
    """Mostly phrases of its own kind, now and then one of the other."""
    own, other = (SPAM, HONEST) if spam else (HONEST, SPAM)
    phrases = random.sample(own, random.randint(1, 3))
    if random.random() < 0.3:
        phrases[0] = random.choice(other)
        phrases += random.sample(own, 2)
    words = f"{random.choice(OPENINGS)} {' '.join(phrases)}".split()
    return " ".join(word for word in words if random.random() > 0.15)


def pieces(text):
    """Numbers of its words and of pairs of words (a hash that is the same in every process)."""
    words = text.split()
    parts = words + [f"{a} {b}" for a, b in itertools.pairwise(words)]
    return [sum(ord(c) * 31**k for k, c in enumerate(part)) % PIECES for part in parts]


def batch(examples):
    numbers = [pieces(text) for text, _ in examples]
    starts = torch.tensor([0] + [len(row) for row in numbers[:-1]]).cumsum(dim=0)
    flat = torch.tensor([number for row in numbers for number in row])
    return flat, starts, torch.tensor([float(spam) for _, spam in examples])


def draw(scores, path):
    """The words that speak most for spam, and those that speak most against it, as bars."""
    from PIL import Image, ImageDraw  # noqa: PLC0415

    ranked = sorted(scores, key=scores.get)
    shown = [*ranked[:-13:-1], *ranked[11::-1]]
    image = Image.new("RGB", (1000, 36 * len(shown) + 16), "white")
    pen, most = ImageDraw.Draw(image), max(map(abs, scores.values()))
    for row, word in enumerate(shown):
        top, reach = 36 * row + 8, 330 * scores[word] / most
        color = "#d1492e" if reach > 0 else "#4a7ebb"
        pen.rectangle([min(500, 500 + reach), top + 5, max(500, 500 + reach), top + 31], color)
        side, anchor = (490, "rm") if reach > 0 else (510, "lm")
        pen.text((side, top + 18), word, "#333333", font_size=26, anchor=anchor)
    image.resize((500, image.height // 2), Image.Resampling.LANCZOS).quantize(32).save(path)


def main():
    random.seed(0)
    torch.manual_seed(0)
    examples = [(message(number % 2 == 1), number % 2 == 1) for number in range(1200)]
    random.shuffle(examples)
    train, test = examples[:900], examples[900:]
    words, decide = nn.EmbeddingBag(PIECES, 16, mode="mean"), nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*words.parameters(), *decide.parameters()], lr=2e-2)
    for epoch in track(range(1, 7)):
        random.shuffle(train)
        for start in range(0, len(train), 60):
            flat, starts, spam = batch(train[start : start + 60])
            loss = F.binary_cross_entropy_with_logits(decide(words(flat, starts))[:, 0], spam)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}: loss {loss.item():.3f}")

    flat, starts, spam = batch(test)
    with torch.no_grad():
        guess = decide(words(flat, starts))[:, 0] > 0
    print(f"test accuracy: {(guess == spam.bool()).float().mean().item():.4f}")
    print(f"spam that is found: {guess[spam.bool()].float().mean().item():.4f}")

    if len(sys.argv) > 1:
        known = sorted({word for text, _ in train for word in text.split()})
        with torch.no_grad():
            numbers = torch.tensor([pieces(word)[0] for word in known])
            scores = decide(words.weight[numbers])[:, 0].tolist()
        draw(dict(zip(known, scores)), sys.argv[1])


if __name__ == "__main__":
    main()
