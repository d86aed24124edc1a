"""Ways to turn a `Batch` of tokens into logits; the rooms above import only `base` and `batch`."""
