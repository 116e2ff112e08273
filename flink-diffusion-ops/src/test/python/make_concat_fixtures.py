#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Models that see a picture as channels behind the noisy sample: enlarging (SR3) and segmentation (SegDiff), of a mask and of classes.

diffusers has no pipeline for them; what is written here is its UNet2DModel and DDIMScheduler in the loop of its DDIMPipeline, with the
resizing of torch (antialiased, which is Pillow's filter in floats).
"""

import json
import pathlib

import torch
from diffusers import DDIMScheduler, UNet2DModel
from safetensors.torch import save_file

MODELS = pathlib.Path(__file__).parent.parent / "resources" / "fixtures" / "models"
STEPS = 5


def unet(in_channels, out_channels, sample_size, attention):
    return UNet2DModel(
        in_channels=in_channels, out_channels=out_channels, sample_size=sample_size, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"), norm_num_groups=4,
        add_attention=attention, attention_head_dim=8,
    ).eval()


def write(name, network, scheduler, index):
    folder = MODELS / name
    network.half().save_pretrained(folder / "unet")
    scheduler.save_pretrained(folder / "scheduler")
    index = {"_diffusers_version": "0.42.0", "scheduler": ["diffusers", "DDIMScheduler"], "unet": ["diffusers", "UNet2DModel"], **index}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    (folder / "golden").mkdir(exist_ok=True)
    return UNet2DModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).eval()


def denoise(network, scheduler, condition, channels, seed):
    sample = torch.randn((1, channels, *condition.shape[2:]), generator=torch.Generator("cpu").manual_seed(seed))
    scheduler.set_timesteps(STEPS)
    for t in scheduler.timesteps:
        sample = scheduler.step(network(torch.cat([sample, condition], 1), t).sample, t, sample).prev_sample
    return sample


def scheduler(clip):
    return DDIMScheduler(prediction_type="sample", clip_sample=clip, timestep_spacing="trailing", beta_start=1e-4, beta_end=0.02)


@torch.no_grad()
def main():
    torch.manual_seed(5)
    resize = torch.nn.functional.interpolate
    image = torch.rand((1, 3, 5, 6))
    plan = scheduler(False)
    index = {"_class_name": "ConcatConditionedUpscalePipeline", "concatenation": "sample, image", "image_resampling": "bicubic",
             "residual_scale": 8.0, "sample_target": "residual", "scale_factor": 4, "value_range": [-1, 1]}
    network = write("tiny-concat-upscale", unet(6, 3, 32, False), plan, index)
    large = 2 * resize(image, size=(20, 24), mode="bicubic", antialias=True) - 1
    picture = (denoise(network, plan, large, 3, 11) / 8 + large) / 2 + 0.5
    save_file({"image": image[0].contiguous(), "picture": picture.clamp(0, 1)[0].contiguous()},
              MODELS / "tiny-concat-upscale" / "golden" / "run.safetensors")

    image = torch.rand((1, 1, 13, 19))
    plan = scheduler(True)
    index = {"_class_name": "ConcatConditionedSegmentationPipeline", "concatenation": "sample, image",
             "image_resampling": "bilinear", "sample_target": "mask", "value_range": [-1, 1]}
    network = write("tiny-concat-segmentation", unet(2, 1, (16, 12), True), plan, index)
    seen = 2 * resize(image, size=(16, 12), mode="bilinear", antialias=True) - 1
    mask = denoise(network, plan, seen, 1, 12) / 2 + 0.5
    picture = resize(mask, size=(13, 19), mode="bilinear", antialias=True)
    save_file({"image": image[0].contiguous(), "picture": picture.clamp(0, 1)[0].contiguous()},
              MODELS / "tiny-concat-segmentation" / "golden" / "run.safetensors")

    image = torch.rand((1, 3, 21, 18))
    seen = 2 * resize(image, size=(16, 12), mode="bilinear", antialias=True) - 1
    index = {"_class_name": "ConcatConditionedSegmentationPipeline", "concatenation": "sample, image", "image_resampling": "bilinear",
             "labels": ["other", "water", "forest", "road"], "value_range": [-1, 1]}
    network = write("tiny-concat-one-hot", unet(7, 4, (16, 12), False), plan, {**index, "sample_target": "one_hot", "background": -1})
    shares = denoise(network, plan, seen, 4, 13) / 2 + 0.5
    picture = resize(shares, size=(21, 18), mode="bilinear", antialias=True)
    save_file({"image": image[0].contiguous(), "picture": picture.clamp(0, 1)[0].contiguous()},
              MODELS / "tiny-concat-one-hot" / "golden" / "run.safetensors")

    palette = [[0, 0, 0], [40, 60, 250], [20, 160, 30], [240, 200, 90]]
    network = write("tiny-concat-palette", unet(6, 3, (16, 12), False), plan, {**index, "sample_target": "palette", "palette": palette})
    colors = torch.tensor(palette) / 255
    sample = denoise(network, plan, seen, 3, 14) / 2 + 0.5
    nearest = (sample[0].permute(1, 2, 0)[:, :, None] - colors).pow(2).sum(-1).argmin(-1)
    shares = torch.nn.functional.one_hot(nearest, 4).permute(2, 0, 1)[None].float()
    picture = colors[resize(shares, size=(21, 18), mode="bilinear", antialias=True)[0].argmax(0)].permute(2, 0, 1)
    print("classes of the palette's sample:", torch.bincount(nearest.flatten()).tolist())
    save_file({"image": image[0].contiguous(), "picture": picture.contiguous()}, MODELS / "tiny-concat-palette" / "golden" / "run.safetensors")


main()
