"""The compiled kernels; everything else is said in pyproject.toml.

The extension is optional: where it does not compile, the package installs without it and computes
with torch alone.
"""

from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

SOURCES = Path("src/wiregrad/kernels/csrc")

ParallelCompile(default=0).install()  # the sources of one extension, on all cores

setup(
    ext_modules=[
        Pybind11Extension(
            "wiregrad.kernels._native",
            sources=sorted(map(str, SOURCES.glob("*.cpp"))),
            depends=sorted(str(file) for file in SOURCES.iterdir() if file.suffix != ".cpp"),
            include_dirs=[str(SOURCES)],
            cxx_std=17,
            # No contraction and no fast-math: every path has to give the same bits. Neither errno
            # nor the flags of the floating-point environment are ever read.
            extra_compile_args=[
                "-O3",
                "-ffp-contract=off",
                "-fno-math-errno",
                "-fno-trapping-math",
                "-fvisibility=hidden",
                "-Wall",
                "-Wextra",
                "-Wno-psabi",  # vectors are passed between inlined functions only
                "-Wno-uninitialized",  # GCC 12 says this of its own vector headers
                "-Wno-maybe-uninitialized",
            ],
            optional=True,
        )
    ]
)
