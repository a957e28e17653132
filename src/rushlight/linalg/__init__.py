"""PyTorch's `torch.linalg`: names for the spellings of `ops`; computes nothing.  Level 12."""

from rushlight.base.errors import LinAlgError  # noqa: F401 - a public name
from rushlight.ops import indefinite, linalg, magnitude
from rushlight.ops import matmul as products
from rushlight.ops import matrix_norm as of_matrices
from rushlight.ops.spelling import with_out

cholesky = with_out(linalg.cholesky)
cholesky_ex = with_out(linalg.cholesky_ex)
det = with_out(linalg.det)
eig = with_out(linalg.eig)
eigh = with_out(linalg.eigh)
eigvals = with_out(linalg.eigvals)
eigvalsh = with_out(linalg.eigvalsh)
inv = with_out(linalg.inv)
inv_ex = with_out(linalg.inv_ex)
ldl_factor = with_out(indefinite.ldl_factor)
ldl_factor_ex = with_out(indefinite.ldl_factor_ex)
ldl_solve = with_out(indefinite.ldl_solve)
lu = with_out(linalg.lu)
lu_factor = with_out(linalg.lu_factor)
lu_factor_ex = with_out(linalg.lu_factor_ex)
lu_solve = with_out(linalg.lu_solve)
qr = with_out(linalg.qr)
slogdet = with_out(linalg.slogdet)
solve = with_out(linalg.solve)
solve_ex = with_out(linalg.solve_ex)
solve_triangular = with_out(linalg.solve_triangular)
svd = with_out(linalg.svd)
svdvals = with_out(linalg.svdvals)
cond = with_out(of_matrices.cond)
householder_product = with_out(of_matrices.householder_product)
lstsq = with_out(of_matrices.lstsq)
matrix_exp = with_out(of_matrices.matrix_exp)
matrix_norm = with_out(of_matrices.matrix_norm)
matrix_power = with_out(of_matrices.matrix_power)
matrix_rank = with_out(of_matrices.matrix_rank)
norm = with_out(of_matrices.norm)
pinv = with_out(of_matrices.pinv)
tensorinv = with_out(of_matrices.tensorinv)
tensorsolve = with_out(of_matrices.tensorsolve)
vecdot = with_out(of_matrices.vecdot)
cross = with_out(magnitude.cross)
diagonal = of_matrices.diagonal
matmul = products.matmul
multi_dot = with_out(products.multi_dot)
vander = of_matrices.vander
vector_norm = magnitude.vector_norm
