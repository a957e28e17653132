"""PyTorch's `torch.linalg`: names for the spellings of `ops`; computes nothing.  Level 12."""

from rushlight.base.errors import LinAlgError  # noqa: F401 - a public name
from rushlight.ops import indefinite, linalg, magnitude
from rushlight.ops import matmul as products
from rushlight.ops import matrix_norm as of_matrices
from rushlight.ops.spelling import with_out as _with_out

cholesky = _with_out(linalg.cholesky)
cholesky_ex = _with_out(linalg.cholesky_ex)
det = _with_out(linalg.det)
eig = _with_out(linalg.eig)
eigh = _with_out(linalg.eigh)
eigvals = _with_out(linalg.eigvals)
eigvalsh = _with_out(linalg.eigvalsh)
inv = _with_out(linalg.inv)
inv_ex = _with_out(linalg.inv_ex)
ldl_factor = _with_out(indefinite.ldl_factor)
ldl_factor_ex = _with_out(indefinite.ldl_factor_ex)
ldl_solve = _with_out(indefinite.ldl_solve)
lu = _with_out(linalg.lu)
lu_factor = _with_out(linalg.lu_factor)
lu_factor_ex = _with_out(linalg.lu_factor_ex)
lu_solve = _with_out(linalg.lu_solve)
qr = _with_out(linalg.qr)
slogdet = _with_out(linalg.slogdet)
solve = _with_out(linalg.solve)
solve_ex = _with_out(linalg.solve_ex)
solve_triangular = _with_out(linalg.solve_triangular)
svd = _with_out(linalg.svd)
svdvals = _with_out(linalg.svdvals)
cond = _with_out(of_matrices.cond)
householder_product = _with_out(of_matrices.householder_product)
lstsq = _with_out(of_matrices.lstsq)
matrix_exp = _with_out(of_matrices.matrix_exp)
matrix_norm = _with_out(of_matrices.matrix_norm)
matrix_power = _with_out(of_matrices.matrix_power)
matrix_rank = _with_out(of_matrices.matrix_rank)
norm = _with_out(of_matrices.norm)
pinv = _with_out(of_matrices.pinv)
tensorinv = _with_out(of_matrices.tensorinv)
tensorsolve = _with_out(of_matrices.tensorsolve)
vecdot = _with_out(of_matrices.vecdot)
cross = _with_out(magnitude.cross)
diagonal = of_matrices.diagonal
matmul = products.matmul
multi_dot = _with_out(products.multi_dot)
vander = of_matrices.vander
vector_norm = magnitude.vector_norm
