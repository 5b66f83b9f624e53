"""Triton kernels, and what surrounds them: CUDA tensors in, CUDA tensors out, nothing copied to the host.

Each module has one operation. They run compiled on CUDA, and under Triton's interpreter
(``TRITON_INTERPRET=1``, set before Triton is imported) on the CPU, which is how they are tested where
there is no GPU. Only operations where a kernel of our own saves memory traffic are here; the rest
of ``clustlib.kernels`` is plain PyTorch on whatever device its tensors are.
"""
