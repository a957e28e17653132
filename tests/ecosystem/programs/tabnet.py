"""pytorch-tabnet: a classifier of rows."""

import numpy as np
from pytorch_tabnet.tab_model import TabNetClassifier

from tests.ecosystem.report import report

rows = np.random.RandomState(0).randn(400, 8).astype("float32")
labels = (rows[:, 0] * rows[:, 1] > 0).astype(int)
# At the default rate of 0.02 a last bit of one input moves PyTorch's own answers by 0.07.
model = TabNetClassifier(seed=0, verbose=0, optimizer_params={"lr": 1e-3})
model.fit(
    rows[:300], labels[:300], eval_set=[(rows[300:], labels[300:])], max_epochs=3, batch_size=64,
    virtual_batch_size=32, num_workers=0,
)  # fmt: skip
report(losses=model.history["loss"], likely=model.predict_proba(rows[300:]))
