"""DeepCluster (Caron et al., 2018)."""
