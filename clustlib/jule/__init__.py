"""JULE: joint unsupervised learning of representations and clusters (Yang et al., 2016)."""
