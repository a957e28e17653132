"""kornia: filters, geometry, colours, augmentation, losses."""

import kornia
import torch

from tests.ecosystem.report import report

torch.manual_seed(0)
image = torch.rand(2, 3, 32, 32, requires_grad=True)
blurred = kornia.filters.gaussian_blur2d(image, (5, 5), (1.5, 1.5))
edges = kornia.filters.sobel(image)
turned = kornia.geometry.rotate(image, torch.tensor([30.0, 60.0]))
warped = kornia.geometry.warp_perspective(
    image, torch.eye(3).repeat(2, 1, 1) + 0.001 * torch.randn(2, 3, 3), (32, 32)
)
colours = kornia.color.rgb_to_hsv(image)
loss = kornia.losses.ssim_loss(blurred, image, 5) + edges.mean() + turned.mean() + warped.mean()
loss.backward()
augment = kornia.augmentation.AugmentationSequential(
    kornia.augmentation.RandomHorizontalFlip(p=0.5),
    kornia.augmentation.RandomAffine(15.0, p=1.0),
    kornia.augmentation.ColorJitter(0.1, 0.1, 0.1, 0.1, p=1.0),
    data_keys=["input"],
)
torch.manual_seed(1)
augmented = augment(image.detach())
report(
    loss=loss,
    gradient=image.grad.abs().sum(),
    colours=colours.mean(),
    augmented=augmented.mean(),
    gray=kornia.color.rgb_to_grayscale(image).mean(),
    canny=kornia.filters.canny(image)[0].mean(),
)
