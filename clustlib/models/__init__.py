"""The papers' networks, each a plain ``nn.Module`` with the paper's layer table in its docstring."""
