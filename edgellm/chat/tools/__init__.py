"""Tool calls in generated text: a parser for each family of models, chosen from the model's own template."""
