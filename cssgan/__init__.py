"""CSSGAN: train the paper's audio-to-video GAN on a dataset of `phonics_data`, generate videos and evaluate them.

    import cssgan
    model = cssgan.load_pretrained("exported")

Heavy modules are imported on first use. docs/cssgan.md describes the rest: `cssgan.training.loop.train`,
`cssgan.inference.generate.generate_video`, `cssgan.evaluation.evaluate.evaluate_run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cssgan.inference.export import LoadedGenerator as LoadedGenerator
    from cssgan.inference.export import export as export
    from cssgan.inference.export import load_generator as load_generator
    from cssgan.inference.export import load_pretrained as load_pretrained
    from cssgan.inference.hub import HubGenerator as HubGenerator

__all__ = ["HubGenerator", "LoadedGenerator", "export", "load_generator", "load_pretrained"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "HubGenerator":
        from cssgan.errors import missing_package

        try:
            from cssgan.inference import hub
        except ModuleNotFoundError as error:
            raise missing_package(error, "cssgan.HubGenerator", "cloud") from error
        return hub.HubGenerator
    from cssgan.inference import export as exports

    return getattr(exports, name)
