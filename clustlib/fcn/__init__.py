"""GSNMF-FCN: factorised convolutional networks (Gui et al., 2017)."""
