"""Reads what a model is from its files, without loading it: `facts` of a GGUF file, an MLX folder or an ONNX folder."""

from __future__ import annotations

from edgellm.catalog.model_facts import LayerFacts, ModelFacts

__all__ = ["LayerFacts", "ModelFacts"]
