"""Training loops of other shapes: convolution, recurrence, a loader.  No ratio is promised yet."""

from __future__ import annotations

from types import ModuleType

from benchmarks.workloads import Job, classifier


def cnn_small(torch: ModuleType, F: ModuleType) -> Job:
    """CNN of two convolutions on 28×28, batch 64, Adam"""
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 10),
    )  # fmt: skip
    x, y = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))
    return classifier(torch, F, model, torch.optim.Adam(model.parameters()), x, y)


def residual(torch: ModuleType, F: ModuleType) -> Job:
    """residual block with BatchNorm, 16 channels of 16×16, batch 24, SGD with momentum"""
    nn = torch.nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 16, 3, padding=1)
            self.conv1 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
            self.norm1 = nn.BatchNorm2d(16)
            self.conv2 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
            self.norm2 = nn.BatchNorm2d(16)
            self.head = nn.Linear(16, 10)

        def forward(self, x):
            x = F.relu(self.first(x))
            y = F.relu(self.norm1(self.conv1(x)))
            x = F.relu(x + self.norm2(self.conv2(y)))
            return self.head(x.mean((2, 3)))

    torch.manual_seed(0)
    model = Residual()
    x, y = torch.randn(24, 3, 16, 16), torch.randint(0, 10, (24,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return classifier(torch, F, model, optimizer, x, y)


def lstm(torch: ModuleType, F: ModuleType) -> Job:
    """LSTM 32-64 over 20 steps, batch 16, Adam"""
    nn = torch.nn

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(32, 64, batch_first=True)
            self.head = nn.Linear(64, 10)

        def forward(self, x):
            states, _ = self.lstm(x)
            return self.head(states[:, -1])

    torch.manual_seed(0)
    model = Reader()
    x, y = torch.randn(16, 20, 32), torch.randint(0, 10, (16,))
    return classifier(torch, F, model, torch.optim.Adam(model.parameters()), x, y)


def _sequences(torch: ModuleType, F: ModuleType, layer, width: int, packed: bool) -> Job:
    """Train a recurrent layer over 64 steps of 32 sequences to tell ten classes apart."""
    nn = torch.nn

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer()
            self.head = nn.Linear(width, 10)

        def forward(self, x):
            if packed:
                # Half of the sequences' steps are padding.
                lengths = [max(1, 64 * (n - i) // n) for n in (x.shape[1],) for i in range(n)]
                x = nn.utils.rnn.pack_padded_sequence(x, lengths)
            states = self.layer(x)[0]
            return self.head(states.data.mean(0, keepdim=True) if packed else states[-1])

    torch.manual_seed(0)
    model = Reader()
    x = torch.randn(64, 32, 128)
    y = torch.randint(0, 10, (1 if packed else 32,))
    optimizer = torch.optim.Adam(model.parameters())

    def train(x, y) -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def lower_rate() -> None:
        for group in optimizer.param_groups:
            group["lr"] *= 0.5

    short_x, short_y = x[:, :20].clone(), y[:20].clone()
    return Job(lambda: train(x, y), lambda: train(short_x, short_y), lower_rate)


def lstm_large(torch: ModuleType, F: ModuleType) -> Job:
    """LSTM 128-256 over 64 steps, batch 32, Adam"""
    return _sequences(torch, F, lambda: torch.nn.LSTM(128, 256), 256, False)


def gru_large(torch: ModuleType, F: ModuleType) -> Job:
    """GRU 128-256 over 64 steps, batch 32, Adam"""
    return _sequences(torch, F, lambda: torch.nn.GRU(128, 256), 256, False)


def lstm_packed(torch: ModuleType, F: ModuleType) -> Job:
    """LSTM 128-256 of two layers and directions, 32 packed sequences of up to 64 steps, Adam"""
    layer = lambda: torch.nn.LSTM(128, 256, num_layers=2, bidirectional=True)  # noqa: E731
    return _sequences(torch, F, layer, 512, True)


def loader_epoch(torch: ModuleType, F: ModuleType) -> Job:
    """an epoch of a DataLoader: 1000 rows in batches of 64, MLP 64-64-10, Adam"""
    nn, data = torch.nn, torch.utils.data
    torch.manual_seed(0)
    dataset = data.TensorDataset(torch.randn(1000, 64), torch.randint(0, 10, (1000,)))
    loader = data.DataLoader(dataset, batch_size=64, shuffle=True)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters())

    def epoch() -> float:
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total

    return Job(epoch)
