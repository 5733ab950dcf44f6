"""The compiled extensions and their directives; everything else is in pyproject.toml."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("FASTCHAT_DEBUG") == "1"

DIRECTIVES = {
    "language_level": 3,
    "binding": False,
    "boundscheck": DEBUG,
    "wraparound": DEBUG,
    "cdivision": not DEBUG,
    "initializedcheck": DEBUG,
    "linetrace": DEBUG,
}
MACROS = [("CYTHON_TRACE", "1")] if DEBUG else []

setup(
    ext_modules=cythonize(
        [
            Extension(
                "fastchat._speedups.*",
                ["fastchat/_speedups/*.pyx"],
                define_macros=MACROS,
                extra_compile_args=["-O1" if DEBUG else "-O2", "-g"],
            )
        ],
        compiler_directives=DIRECTIVES,
    )
)
