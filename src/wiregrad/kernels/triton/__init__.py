"""The kernels in Triton, for tensors on a GPU: the functions of `wiregrad.kernels`, bit for bit.

A module here holds the twins of the module of that name above; `wiregrad.kernels` chooses. Every
operation is rounded on its own: nothing is contracted to a fused multiply-add, denormal numbers
are kept, division and root are those of IEEE 754. With TRITON_INTERPRET=1 in the environment the
same functions run on CPU tensors, slowly: for tests.
"""
