"""What stands before the first convolution: standardised channels, and fixed Sobel filters that take colour away."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's training images in [0, 1]


class Standardise(nn.Module):
    """Images (N, 1 or 3, H, W) in [0, 1] to three channels of mean 0 and deviation 1 on ImageNet.

    A grey image becomes three equal channels. The released code standardises before Sobel as well.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class Sobel(nn.Module):
    """The horizontal and the vertical gradient of the mean of the channels: (N, C, H, W) to (N, 2, H, W).

    "A fixed linear transformation based on Sobel filters to remove color and increase local contrast" (Section 3.4).
    The masks are the released code's, [1 0 -1; 2 0 -2; 1 0 -1] and [1 2 1; 0 0 0; -1 -2 -1], zeros around the image.
    """

    def forward(self, images: Tensor) -> Tensor:
        grey = F.pad(images.mean(dim=1), (1, 1, 1, 1))
        # each mask is a smoothing times a difference; three times as fast as a convolution of one channel
        down = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
        across = grey[:, :, :-2] + 2 * grey[:, :, 1:-1] + grey[:, :, 2:]
        return torch.stack([down[:, :, :-2] - down[:, :, 2:], across[:, :-2] - across[:, 2:]], dim=1)
