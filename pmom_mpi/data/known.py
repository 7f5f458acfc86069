"""The public data sets: where they come from, which bytes they are, how their numbers are scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pmom_mpi.data.dataset import Scale


@dataclass(frozen=True)
class Known:
    """A public data set of IDX files.

    Attributes
    ----------
    url : str
        The folder of the gzip files.
    sha256 : mapping
        Of the uncompressed files, by array: what is downloaded or imported under this name is these bytes.
    scale : Scale
    installed : str
        Where a distribution's package puts the files.
    """

    description: str
    url: str
    sha256: Mapping[str, str]
    scale: Scale
    installed: str = ""
    samples: int = 60000
    features: int = 784
    classes: int = 10


KNOWN = {
    "mnist": Known(
        "handwritten digits (LeCun, Cortes, Burges)",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train_inputs": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train_targets": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "test_inputs": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "test_targets": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        Scale(255.0, 0.1307, 0.3081),
    ),
    "fashion-mnist": Known(
        "articles of clothing (Xiao, Rasul, Vollgraf)",
        # S3 websites speak no https; the checksums are what guards the data.
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train_inputs": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train_targets": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "test_inputs": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "test_targets": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        Scale(255.0, 0.5, 0.5),
        "/usr/share/datasets/fashion-mnist",
    ),
}
