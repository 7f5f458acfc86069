"""What setup.cfg cannot say: configs/ and examples/ of the top level are installed inside the package."""

from setuptools import find_packages, setup

INSIDE = {"pmom_mpi.configs": "configs", "pmom_mpi.examples": "examples"}

setup(packages=[*find_packages(include=["pmom_mpi*"]), *INSIDE], package_dir=INSIDE)
