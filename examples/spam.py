"""Supervised learning: is this message spam?

    rushlight run examples/spam.py

Each message is a bag of word pieces, whose embeddings are averaged (`nn.EmbeddingBag`), and a
linear layer decides.  The messages are made from phrases, so that words appear in both classes.
"""

import itertools
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

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


def main():
    random.seed(0)
    torch.manual_seed(0)
    examples = [(message(number % 2 == 1), number % 2 == 1) for number in range(1200)]
    random.shuffle(examples)
    train, test = examples[:900], examples[900:]
    words, decide = nn.EmbeddingBag(PIECES, 16, mode="mean"), nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*words.parameters(), *decide.parameters()], lr=2e-2)
    for epoch in range(1, 7):
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


if __name__ == "__main__":
    main()
