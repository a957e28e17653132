"""torch-geometric: GCN and GAT learn on a graph; batches of graphs; edges that know their order."""

import torch
import torch_geometric
from torch_geometric import EdgeIndex, Index
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GATConv, GCNConv, SAGEConv, global_mean_pool

from tests.ecosystem.report import report

torch_geometric.seed_everything(0)
edges = torch.randint(0, 40, (2, 160))
x, y = torch.randn(40, 8), torch.randint(0, 3, (40,))


def trained(first, second):
    optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=0.01)
    losses = []
    for _ in range(20):
        out = second(torch.relu(first(x, edges)), edges)
        loss = torch.nn.functional.cross_entropy(out, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


gcn = trained(GCNConv(8, 16), GCNConv(16, 3))
gat = trained(GATConv(8, 4, heads=4, dropout=0.1), GATConv(16, 3))
sage = trained(SAGEConv(8, 16), SAGEConv(16, 3))
graphs = Batch.from_data_list([Data(x[:5], edges[:, :4] % 5), Data(x[5:9], edges[:, :3] % 4)])
known = EdgeIndex(edges, sparse_size=(40, 40)).sort_by("row", stable=True).values
conv = GCNConv(8, 3)
torch.nn.functional.cross_entropy(conv(x, known), y).backward()
report(
    gcn=gcn,
    gat=gat,
    sage=sage,
    pooled=global_mean_pool(graphs.x, graphs.batch),
    rows=known.get_csr()[0][0],
    product=known.matmul(x).sum(0),
    turned=known.flip(0)[:, :4].as_tensor(),
    ordered=(Index(torch.tensor([0, 1, 1, 2]), dim_size=4, is_sorted=True) + 1).as_tensor(),
    gradient=conv.lin.weight.grad.abs().sum(),
)
