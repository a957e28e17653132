"""torch-geometric: GCN and GAT learn on a graph; batches of graphs."""

import torch
import torch_geometric
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
report(gcn=gcn, gat=gat, sage=sage, pooled=global_mean_pool(graphs.x, graphs.batch))
