"""Convolutional networks over crops of images: what DeepCluster trains and the transfer protocols test."""
